//! Network addresses: inet and cidr.
//!
//! Stored as bytes that sort as Postgres does: family (4 or 6), the network's address, length of the prefix, the whole
//! address. So of two networks that begin alike the wider one comes first.

use crate::transaction::SqlError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host's address with the length of its network's prefix; as cidr, a network alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// Bits of the network's prefix: up to 32 or 128.
    pub bits: u8,
}

fn invalid(kind: &str, text: &str) -> SqlError {
    SqlError::new("22P02", format!("invalid input syntax for type {kind}: \"{text}\""))
}

impl Network {
    /// Bits of an address of its family.
    pub fn bits_max(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// `10.0.0.1`, `10.0.0.1/8`, `::1/128`.
    ///
    /// # Errors
    /// 22P02 for anything else, also short forms such as `10/8`.
    pub fn parse(text: &str, kind: &str) -> Result<Network, SqlError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid(kind, text))?;
        let whole = Network { address, bits: 0 }.bits_max();
        let bits = match bits {
            None => whole,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= whole).ok_or_else(|| invalid(kind, text))?
            }
            Some(_) => return Err(invalid(kind, text)),
        };
        Ok(Network { address, bits })
    }

    /// As [`Network::parse`], for a network alone.
    ///
    /// # Errors
    /// 22P02, also for one with bits set behind its prefix.
    pub fn parse_cidr(text: &str) -> Result<Network, SqlError> {
        let found = Network::parse(text, "cidr")?;
        if found.network() != found {
            return Err(SqlError::new("22P02", format!("invalid cidr value: \"{text}\""))
                .with_detail("Value has bits set to right of mask."));
        }
        Ok(found)
    }

    /// The address as a number, with its first bit in front whatever the family.
    fn number(&self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => address.into(),
        }
    }

    /// The same family's address of a number.
    fn with_number(&self, number: u128) -> Network {
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from((number >> 96) as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        };
        Network { address, ..*self }
    }

    /// Bits of the prefix set, as far as the family has bits.
    fn mask(bits: u8) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
    }

    /// The network that it is in, without the host's part.
    pub fn network(&self) -> Network {
        self.with_number(self.number() & Self::mask(self.bits))
    }

    /// The network's last address.
    pub fn broadcast(&self) -> Network {
        self.with_number(self.number() | !Self::mask(self.bits))
    }

    /// The mask of its network, or of its host's part.
    pub fn netmask(&self, of_host: bool) -> Network {
        let mask = Self::mask(self.bits);
        Network { bits: self.bits_max(), ..self.with_number(if of_host { !mask } else { mask }) }
    }

    /// The same with another length of prefix; -1 is all bits.
    ///
    /// # Errors
    /// 22023 for one that the family does not have.
    pub fn with_bits(&self, bits: i64) -> Result<Network, SqlError> {
        let whole = i64::from(self.bits_max());
        let bits = if bits == -1 { whole } else { bits };
        match (0..=whole).contains(&bits) {
            true => Ok(Network { bits: bits as u8, ..*self }),
            false => Err(SqlError::new("22023", format!("invalid mask length: {bits}"))),
        }
    }

    /// Whether it lies in another network, which may be itself unless `strictly`.
    pub fn is_within(&self, other: &Network, strictly: bool) -> bool {
        let mask = Self::mask(other.bits);
        self.address.is_ipv4() == other.address.is_ipv4()
            && (self.bits > other.bits || (!strictly && self.bits == other.bits))
            && self.number() & mask == other.number() & mask
    }

    /// The text with the prefix in any case, as a cast to text gives it.
    pub fn whole_text(&self) -> String {
        format!("{}/{}", self.address, self.bits)
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let octets = |network: &Network| match network.address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mut bytes = vec![if self.address.is_ipv4() { 4 } else { 6 }];
        bytes.extend(octets(&self.network()));
        bytes.push(self.bits);
        bytes.extend(octets(self));
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// XX000 if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Network, SqlError> {
        let damaged = || SqlError::new("XX000", "a network address is stored damaged");
        let (family, rest) = bytes.split_first().ok_or_else(damaged)?;
        let found = match (family, rest.len()) {
            (4, 9) => Network { address: octets::<4>(&rest[5..]).ok_or_else(damaged)?.into(), bits: rest[4] },
            (6, 33) => Network { address: octets::<16>(&rest[17..]).ok_or_else(damaged)?.into(), bits: rest[16] },
            _ => return Err(damaged()),
        };
        if found.bits <= found.bits_max() { Ok(found) } else { Err(damaged()) }
    }

    /// The binary format of the protocol.
    pub fn to_binary(&self, is_cidr: bool) -> Vec<u8> {
        let stored = self.encode();
        let address = &stored[stored.len() - usize::from(self.bits_max() / 8)..];
        let mut bytes =
            vec![if self.address.is_ipv4() { 2 } else { 3 }, self.bits, u8::from(is_cidr), address.len() as u8];
        bytes.extend(address);
        bytes
    }

    /// Reads the binary format; none if it is malformed.
    pub fn from_binary(bytes: &[u8]) -> Option<Network> {
        let found = match *bytes {
            [2, bits, _, 4, ref address @ ..] => Network { address: octets::<4>(address)?.into(), bits },
            [3, bits, _, 16, ref address @ ..] => Network { address: octets::<16>(address)?.into(), bits },
            _ => return None,
        };
        (found.bits <= found.bits_max()).then_some(found)
    }
}

fn octets<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

impl fmt::Display for Network {
    /// As inet prints it: without the prefix if that is the whole address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits == self.bits_max() {
            true => write!(f, "{}", self.address),
            false => f.write_str(&self.whole_text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_forms_sort_as_networks_do() {
        let texts = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.2.3/8",
            "10.0.0.0/16",
            "10.0.0.0",
            "10.0.0.1",
            "11.0.0.0/8",
            "255.0.0.0",
            "::/0",
            "::1",
            "fe80::/10",
            "fe80::1/64",
        ];
        let stored: Vec<Vec<u8>> = texts.iter().map(|text| Network::parse(text, "inet").unwrap().encode()).collect();
        assert!(stored.windows(2).all(|pair| pair[0] < pair[1]));
        for (text, bytes) in texts.iter().zip(&stored) {
            let found = Network::decode(bytes).unwrap();
            assert_eq!(found.to_string(), *text);
            assert_eq!(Network::from_binary(&found.to_binary(false)), Some(found));
        }
        for bad in [&[][..], &[4], &[4, 1, 2], &[5; 10], &[4, 0, 0, 0, 0, 33, 0, 0, 0, 0]] {
            assert!(Network::decode(bad).is_err() && Network::from_binary(bad).is_none());
        }
    }
}
