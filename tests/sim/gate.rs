//! What must hold for every byte that reaches a socket, whatever a test is about: a message is on disk before it
//! is shown, it is shown as it stands there, and to nobody it is not meant for.

use super::disk::Disk;

/// The only thing that is said in another protocol: the answer to a client that begins with an HTTP request.
pub const HTTP_ANSWER: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\n",
    "Content-Type: text/plain\r\n",
    "Content-Length: 67\r\n",
    "Connection: close\r\n",
    "\r\n",
    "This is a chinwag chat server, not a web server. Try: nc HOST 5000\n",
);

/// What one socket was sent, line by line.
#[derive(Default)]
pub struct Gate {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Whom the server has welcomed here.
    account: Option<String>,
}

impl Gate {
    pub fn pass(&mut self, bytes: &[u8], disk: &Disk) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            self.look(disk);
            if self.line.ends_with(b"\n") {
                if let Some(name) = self.line.strip_prefix(b"* welcome ") {
                    self.account = Some(String::from_utf8_lossy(name).trim_end().to_ascii_lowercase());
                }
                self.line.clear();
            }
        }
    }

    fn look(&self, disk: &Disk) {
        let text = || String::from_utf8_lossy(&self.line);
        match self.line[0] {
            b'*' | b'!' => {}
            // Telnet is answered in its own language.
            _ if b"\xff\xfc\x06\n".starts_with(&self.line) => {}
            _ if self.account.is_none() && is_part_of_http(&self.line) => {}
            b'0'..=b'9' => {
                assert!(disk.may_show(&self.line), "[1 Durable] shown before it was on disk: {:?}", text());
                let account =
                    self.account.as_deref().expect("[3 Private] messages are for those who are logged in");
                if is_of_room(&self.line) {
                    // Who is in a room, and since when, decides once it is known which line it is.
                    let is_shown = !self.line.ends_with(b"\n")
                        || disk.may_show_of_room(account, text().trim_end_matches('\n'));
                    assert!(is_shown, "[3 Private] {account} was shown {:?}", text());
                    return;
                }
                // Two names and what is between them.
                let behind = String::from_utf8_lossy(
                    &self.line[self.line.len().min(28)..self.line.len().min(28 + 50)],
                );
                let ends = behind.split_once(": ");
                if let Some((from, to)) = ends.and_then(|(ends, _)| ends.split_once(" -> ")) {
                    let is_end = |name: &str| name.eq_ignore_ascii_case(account);
                    assert!(is_end(from) || is_end(to), "[3 Private] {account} was shown {:?}", text());
                }
            }
            _ => panic!("[Every line is of a known kind] no such: {:?}", text()),
        }
        assert!(self.line.len() <= 4096, "[6 Bounded] a line too long: {:?}", text());
    }
}

/// Whether a line, as far as it is there, is one of a room.
fn is_of_room(line: &[u8]) -> bool {
    let behind = line.get(28..).unwrap_or_default();
    let name = behind.iter().position(|&byte| byte == b' ' || byte == b':').unwrap_or(behind.len());
    behind[name..].starts_with(b" -> #")
}

fn is_part_of_http(line: &[u8]) -> bool {
    HTTP_ANSWER.split_inclusive('\n').any(|whole| whole.as_bytes().starts_with(line))
}
