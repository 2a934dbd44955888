//! What must hold for every byte that reaches a socket, whatever a test is about: a message is on disk before it
//! is shown, it is shown as it stands there, and to nobody it is not meant for.

use super::disk::Disk;

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
        let text = String::from_utf8_lossy(&self.line);
        match self.line[0] {
            b'*' | b'!' => {}
            b'0'..=b'9' => {
                assert!(disk.may_show(&self.line), "shown before it was on disk: {text:?}");
                let account = self.account.as_deref().expect("messages are for those who are logged in");
                let ends = text.get(28..).and_then(|behind| behind.split_once(": "));
                if let Some((from, to)) = ends.and_then(|(ends, _)| ends.split_once(" -> ")) {
                    let is_end = |name: &str| name.eq_ignore_ascii_case(account);
                    assert!(is_end(from) || is_end(to), "{account} was shown {text:?}");
                }
            }
            _ => panic!("a line of no known kind: {text:?}"),
        }
        assert!(self.line.len() <= 4096, "a line too long: {text:?}");
    }
}
