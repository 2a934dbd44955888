//! A range of IP addresses, written as `ADDRESS` or `ADDRESS/BITS`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The addresses that share their first bits with one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u32,
}

/// The text is not a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASubnet;

impl Subnet {
    /// Whether an address lies in the range. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (different, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u128::from(own.to_bits() ^ other.to_bits()), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits(), 128),
            _ => return false,
        };
        different.checked_shr(width - self.bits).unwrap_or(0) == 0
    }
}

impl FromStr for Subnet {
    type Err = NotASubnet;

    fn from_str(text: &str) -> Result<Subnet, NotASubnet> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(it, bits)| (it, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NotASubnet)?;
        if address != address.to_canonical() {
            // Such a range would contain no address: peers count as IPv4.
            return Err(NotASubnet);
        }
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|&bits| bits <= width).ok_or(NotASubnet)?
            }
            Some(_) => return Err(NotASubnet),
        };
        Ok(Subnet { address, bits })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_the_addresses_that_share_its_first_bits() {
        let cases = [
            ("127.0.0.2", "127.0.0.2", "127.0.0.3"),
            ("10.32.0.0/11", "10.63.255.255", "10.64.0.0"),
            ("192.0.2.129/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8:40::/42", "2001:db8:7f:ffff::9", "2001:db8:80::"),
            ("fd00::7", "fd00::7", "fd00::6"),
        ];
        for (text, inside, outside) in cases {
            let subnet: Subnet = text.parse().expect(text);
            assert!(subnet.contains(inside.parse().expect(inside)), "{text} {inside}");
            assert!(!subnet.contains(outside.parse().expect(outside)), "{text} {outside}");
        }
        let subnet: Subnet = "192.0.2.0/24".parse().expect("it is a range");
        assert!(subnet.contains("::ffff:192.0.2.77".parse().expect("it is an address")));
        assert_eq!(subnet.to_string(), "192.0.2.0/24");
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = [
            "",
            "/8",
            "localhost",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.0/-1",
            "10.0.0/8",
            "::1/129",
            "[::1]",
            "127.0.0.1:80",
            "::ffff:10.0.0.0/104",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Subnet>(), Err(NotASubnet), "{text}");
        }
    }
}
