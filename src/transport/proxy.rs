//! The header with which a proxy announces whose connection it forwards: the PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! ```text
//! version 1:  PROXY TCP4 192.0.2.1 198.51.100.7 56324 5000\r\n
//! version 2:  signature (12) | version, command | family | length (2) | addresses | TLVs, which are skipped
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the forwarded connection comes from. `None` if the proxy speaks for itself, as in a health check, or
    /// names no IP address; the address of the socket then stands.
    pub source: Option<SocketAddr>,
    /// Bytes of the header. What follows is the first input of the connection.
    pub length: usize,
}

/// Why bytes are not the beginning of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// They begin differently.
    Missing,
    /// A header must end before this.
    TooLong,
    /// It contradicts the specification.
    Malformed,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadHeader::Missing => "it does not begin with a PROXY header",
            BadHeader::TooLong => "its PROXY header is too long",
            BadHeader::Malformed => "its PROXY header is malformed",
        })
    }
}

/// How version 1 begins.
const TEXT_START: &[u8] = b"PROXY ";
/// A header of version 1, with its line ending.
const TEXT_BYTES_MAX: usize = 107;
/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of version 2 that has a fixed length.
const FIXED_BYTES: usize = SIGNATURE.len() + 4;

/// Parses the header at the beginning of `bytes`; `None` if more bytes are needed.
///
/// # Errors
/// No bytes that follow can make this a header.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    if starts_alike(bytes, SIGNATURE) {
        parse_binary(bytes)
    } else if starts_alike(bytes, TEXT_START) {
        parse_text(bytes)
    } else {
        Err(BadHeader::Missing)
    }
}

/// Whether the shorter one is the beginning of the other.
fn starts_alike(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(one, other)| one == other)
}

fn parse_text(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    let line = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        return if line.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(BadHeader::TooLong) };
    };
    let line = line[..end].strip_suffix(b"\r").ok_or(BadHeader::Malformed)?;
    let mut words = line[TEXT_START.len()..].split(|&byte| byte == b' ');
    let source = match words.next() {
        // What follows the word means nothing.
        Some(b"UNKNOWN") => None,
        Some(b"TCP4") => Some(source_in_words(words, IpAddr::is_ipv4).ok_or(BadHeader::Malformed)?),
        Some(b"TCP6") => Some(source_in_words(words, IpAddr::is_ipv6).ok_or(BadHeader::Malformed)?),
        _ => return Err(BadHeader::Malformed),
    };
    Ok(Some(Header { source, length: end + 1 }))
}

/// Reads the addresses of the source and of the destination, then their ports. Only the source is of interest, but all
/// must be there.
fn source_in_words<'a>(
    mut words: impl Iterator<Item = &'a [u8]>,
    is_in_family: impl Fn(&IpAddr) -> bool,
) -> Option<SocketAddr> {
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let address = |text: &str| text.parse().ok().filter(&is_in_family);
    let (source, _) = (address(word()?)?, address(word()?)?);
    let (source_port, _) = (port(word()?)?, port(word()?)?);
    words.next().is_none().then(|| canonical(source, source_port))
}

fn port(text: &str) -> Option<u16> {
    // The standard library also takes a sign.
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parse_binary(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    let Some(&[.., version_and_command, family, high, low]) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(BadHeader::Malformed),
    };
    if length > PROXY_HEADER_BYTES_MAX {
        return Err(BadHeader::TooLong);
    }
    let address_bytes = match family {
        // The family of a proxy's own connection means nothing.
        _ if is_local => 0,
        UNSPECIFIED => 0,
        TCP_OVER_IPV4 => 2 * (4 + 2),
        TCP_OVER_IPV6 => 2 * (16 + 2),
        UNIX_STREAM => 2 * 108,
        _ => return Err(BadHeader::Malformed),
    };
    if length < FIXED_BYTES + address_bytes {
        return Err(BadHeader::Malformed);
    }
    let Some(block) = bytes.get(FIXED_BYTES..length) else { return Ok(None) };
    let source = match family {
        _ if is_local => None,
        TCP_OVER_IPV4 => Some(source_in_block::<4>(block)),
        TCP_OVER_IPV6 => Some(source_in_block::<16>(block)),
        _ => None,
    };
    Ok(Some(Header { source, length }))
}

/// Address families of version 2, with their transports.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Reads the source at the beginning of a block: two addresses of N bytes, then two ports.
fn source_in_block<const N: usize>(block: &[u8]) -> SocketAddr
where
    IpAddr: From<[u8; N]>,
{
    let address: [u8; N] = *block.first_chunk().expect("the length was checked");
    canonical(address.into(), u16::from_be_bytes([block[2 * N], block[2 * N + 1]]))
}

fn canonical(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(source: Option<&str>, length: usize) -> Result<Option<Header>, BadHeader> {
        let source = source.map(|source| source.parse().expect("it is an address"));
        Ok(Some(Header { source, length }))
    }

    /// A header of version 2 with this block behind its fixed part.
    fn binary(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("a block has at most 65535 bytes").to_be_bytes();
        [SIGNATURE, &[version_and_command, family], &length, block].concat()
    }

    const V4_BLOCK: [u8; 12] = [203, 0, 113, 77, 198, 51, 100, 9, 0xdc, 0x04, 0x13, 0x88];

    fn v6_block() -> Vec<u8> {
        let [source, destination] = ["2001:db8:77::5", "2001:db8::1"]
            .map(|text| text.parse::<std::net::Ipv6Addr>().expect("it is an address").octets());
        [&source[..], &destination, &[0x9c, 0x40, 0x13, 0x88]].concat()
    }

    /// Headers, each with the source in it.
    fn good() -> Vec<(Vec<u8>, Option<&'static str>)> {
        // An extra type-length-value field: ALPN, "chat".
        let tlv = b"\x01\0\x04chat";
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let text = |line: &str| format!("{line}\r\n").into_bytes();
        vec![
            // The examples of the specification, section 2.1.
            (text("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), Some("255.255.255.255:65535")),
            (
                text(&format!("PROXY TCP6 {longest} {longest} 65535 65535")),
                Some(&*format!("[{longest}]:65535").leak()),
            ),
            (text("PROXY UNKNOWN"), None),
            (text(&format!("PROXY UNKNOWN {longest} {longest} 65535 65535")), None),
            (text("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443"), Some("192.168.0.1:56324")),
            (text("PROXY TCP6 2001:db8::9 ::1 0 5000"), Some("[2001:db8::9]:0")),
            (text("PROXY TCP6 ::ffff:192.0.2.5 ::ffff:192.0.2.6 1024 5000"), Some("192.0.2.5:1024")),
            (text("PROXY UNKNOWN \u{fffd} what\rever"), None),
            (binary(0x21, 0x11, &V4_BLOCK), Some("203.0.113.77:56324")),
            (binary(0x21, 0x11, &[&V4_BLOCK[..], tlv].concat()), Some("203.0.113.77:56324")),
            (binary(0x21, 0x11, &[&V4_BLOCK[..], &[b'\n'; 508]].concat()), Some("203.0.113.77:56324")),
            (binary(0x21, 0x21, &v6_block()), Some("[2001:db8:77::5]:40000")),
            (binary(0x21, 0x21, &[&v6_block()[..], tlv, tlv].concat()), Some("[2001:db8:77::5]:40000")),
            (binary(0x21, 0x31, &[b'/'; 216]), None),
            (binary(0x21, 0x00, &[]), None),
            (binary(0x21, 0x00, tlv), None),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &V4_BLOCK), None),
            (binary(0x20, 0x77, tlv), None),
        ]
    }

    #[test]
    fn a_header_is_complete_with_its_last_byte_wherever_it_was_cut() {
        for (bytes, source) in good() {
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None), "{end} of {}", bytes.escape_ascii());
            }
            assert_eq!(parse(&bytes), header(source, bytes.len()), "{}", bytes.escape_ascii());
            for behind in [&b"\n"[..], b"/login alice secret-words\n", b"\r\n\r\n\0", &[0xff; 4000]] {
                let more = [&bytes, behind].concat();
                assert_eq!(parse(&more), header(source, bytes.len()), "{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn bytes_that_begin_differently_are_refused_at_the_first_of_them() {
        for (bytes, _) in good() {
            let start = if bytes[0] == b'P' { TEXT_START.len() } else { SIGNATURE.len() };
            for at in 0..start {
                let mut bytes = bytes[..=at].to_vec();
                bytes[at] ^= 0x20;
                assert_eq!(parse(&bytes), Err(BadHeader::Missing), "{}", bytes.escape_ascii());
            }
        }
        for bytes in [
            &b"/login alice secret-words\n"[..],
            b"\n",
            b"proxy TCP4 ",
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
        ] {
            assert_eq!(parse(bytes), Err(BadHeader::Missing), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn text_headers_that_say_something_else_are_malformed() {
        let wrong = [
            "",
            "TCP4",
            "TCP4 192.0.2.1 192.0.2.2 1",
            "TCP4 192.0.2.1 192.0.2.2 1 2 3",
            "TCP4 192.0.2.1 192.0.2.2 1 2 ",
            "TCP4  192.0.2.1 192.0.2.2 1 2",
            "TCP4 192.0.2.01 192.0.2.2 1 2",
            "TCP4 192.0.2.256 192.0.2.2 1 2",
            "TCP4 192.0.2.1 192.0.2.2 65536 2",
            "TCP4 192.0.2.1 192.0.2.2 1 +2",
            "TCP4 192.0.2.1 192.0.2.2 -1 2",
            "TCP4 192.0.2.1 192.0.2.2 1 ",
            "TCP4 192.0.2.1\t192.0.2.2 1 2",
            "TCP4 192.0.2.1 2001:db8::1 1 2",
            "TCP4 2001:db8::2 2001:db8::1 1 2",
            "TCP6 192.0.2.1 192.0.2.2 1 2",
            "TCP6 [2001:db8::2] 2001:db8::1 1 2",
            "TCP6 fe80::1%lo 2001:db8::1 1 2",
            "TCP5 192.0.2.1 192.0.2.2 1 2",
            "tcp4 192.0.2.1 192.0.2.2 1 2",
            "UNKNOWNS",
            " UNKNOWN",
        ];
        for rest in wrong {
            let bytes = format!("PROXY {rest}\r\n");
            assert_eq!(parse(bytes.as_bytes()), Err(BadHeader::Malformed), "{rest:?}");
        }
        // A line feed alone does not end a header.
        assert_eq!(parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), Err(BadHeader::Malformed));
        assert_eq!(parse(b"PROXY TCP4 192.0.2.\xff 192.0.2.2 1 2\r\n"), Err(BadHeader::Malformed));
    }

    #[test]
    fn binary_headers_that_say_something_else_are_malformed() {
        for byte in (0..=0xff).filter(|byte| ![0x20, 0x21].contains(byte)) {
            assert_eq!(parse(&binary(byte, 0x11, &V4_BLOCK)), Err(BadHeader::Malformed), "{byte:#x}");
        }
        for byte in (0..=0xff).filter(|byte| ![0x00, 0x11, 0x21, 0x31].contains(byte)) {
            assert_eq!(parse(&binary(0x21, byte, &[0; 300])), Err(BadHeader::Malformed), "{byte:#x}");
        }
        for (family, bytes) in [(0x11, 11), (0x21, 35), (0x31, 215)] {
            assert_eq!(parse(&binary(0x21, family, &vec![1; bytes])), Err(BadHeader::Malformed), "{bytes}");
            assert!(parse(&binary(0x21, family, &vec![1; bytes + 1])).is_ok_and(|it| it.is_some()));
        }
    }

    #[test]
    fn a_header_that_is_too_long_is_refused_before_its_end() {
        let line = format!("PROXY UNKNOWN {}", "x".repeat(TEXT_BYTES_MAX));
        assert_eq!(parse(&line.as_bytes()[..TEXT_BYTES_MAX - 1]), Ok(None));
        assert_eq!(parse(&line.as_bytes()[..TEXT_BYTES_MAX]), Err(BadHeader::TooLong));
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(TEXT_BYTES_MAX - 16));
        assert_eq!(parse(longest.as_bytes()), header(None, TEXT_BYTES_MAX));
        let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(TEXT_BYTES_MAX - 15));
        assert_eq!(parse(longer.as_bytes()), Err(BadHeader::TooLong));
        for (block, is_good) in
            [(PROXY_HEADER_BYTES_MAX - 16, true), (PROXY_HEADER_BYTES_MAX - 15, false), (65_535, false)]
        {
            for command in [0x20, 0x21] {
                let bytes = binary(command, 0x00, &vec![0; block]);
                let expected = if is_good { header(None, bytes.len()) } else { Err(BadHeader::TooLong) };
                assert_eq!(parse(&bytes), expected);
                assert_eq!(parse(&bytes[..16]).is_ok(), is_good, "known from the length");
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_taken_or_refused_and_need_no_more_than_the_longest_header() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let start: &[u8] = match random() % 3 {
                0 => SIGNATURE,
                1 => TEXT_START,
                _ => b"PROXY TCP4 192.0.2.1 ",
            };
            let mut bytes = start.to_vec();
            bytes.extend((0..PROXY_HEADER_BYTES_MAX).map(|_| random() as u8));
            if start.len() == SIGNATURE.len() && random() % 2 == 0 {
                bytes[12] = 0x20 | random() as u8 & 1;
                bytes[13] = [0x00, 0x11, 0x21, 0x31][random() as usize % 4];
                bytes[14] = random() as u8 % 3;
            }
            match parse(&bytes[..PROXY_HEADER_BYTES_MAX]) {
                Ok(Some(header)) => assert!(header.length <= PROXY_HEADER_BYTES_MAX),
                Ok(None) => panic!("it waits for more: {}", bytes.escape_ascii()),
                Err(_) => {}
            }
        }
    }
}
