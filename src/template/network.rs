//! The filters of IP addresses that infra templates use: `ipaddr` with its
//! common queries, `ipv4`, `ipv6`, `ipwrap`. Ansible has them in the
//! collection `ansible.utils`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::builtins::{invalid, items};
use super::marks::Registry;
use super::python;

/// Adds the filters of this file.
pub fn register(registry: &mut Registry) {
    registry.reader("ipaddr", |value: &Value, query: Option<Value>| {
        filter(value, query, None)
    });
    registry.reader("ipv4", |value: &Value, query: Option<Value>| {
        filter(value, query, Some(4))
    });
    registry.reader("ipv6", |value: &Value, query: Option<Value>| {
        filter(value, query, Some(6))
    });
    registry.reader("ipwrap", ip_wrap);
}

/// An address, with the length of its prefix.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    prefix: u32,
    /// Whether the prefix was written.
    has_prefix: bool,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, mask) = text
            .split_once('/')
            .map_or((text, None), |(a, m)| (a, Some(m)));
        let address: IpAddr = address.trim().parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match mask {
            None => width,
            Some(mask) => mask.parse().ok().or_else(|| prefix_of(mask))?,
        };
        let has_prefix = mask.is_some();
        (prefix <= width).then_some(Network {
            address,
            prefix,
            has_prefix,
        })
    }

    fn version(self) -> u32 {
        if self.address.is_ipv4() { 4 } else { 6 }
    }

    fn width(self) -> u32 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn bits(self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    /// The bits that tell hosts of the network apart.
    fn host_mask(self) -> u128 {
        match self.width() - self.prefix {
            0 => 0,
            hosts => u128::MAX >> (128 - hosts),
        }
    }

    fn show(self, bits: u128) -> String {
        match self.address {
            IpAddr::V4(_) => {
                Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or_default())
                    .to_string()
            }
            IpAddr::V6(_) => Ipv6Addr::from_bits(bits).to_string(),
        }
    }

    fn first(self) -> u128 {
        self.bits() & !self.host_mask()
    }

    fn last(self) -> u128 {
        self.bits() | self.host_mask()
    }

    fn is_network(self) -> bool {
        self.host_mask() != 0 && self.bits() == self.first()
    }

    fn is_private(self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.is_private(),
            IpAddr::V6(address) => address.is_unique_local(),
        }
    }

    fn is_loopback(self) -> bool {
        self.address.is_loopback()
    }
}

fn prefix_of(mask: &str) -> Option<u32> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    (bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones())
}

/// The answer to `query` for an address; for a list the answers of those
/// items that have one. False when there is none.
fn filter(value: &Value, query: Option<Value>, version: Option<u32>) -> Result<Value, Error> {
    let query = query.filter(|query| !query.is_undefined());
    if value.kind() == ValueKind::Seq {
        let mut answers = Vec::new();
        for item in items(value)? {
            let found = answer(&python::text(&item), query.as_ref(), version)?;
            answers.extend(found);
        }
        return Ok(Value::from(answers));
    }
    let found = answer(&python::text(value), query.as_ref(), version)?;
    Ok(found.unwrap_or_else(|| Value::from(false)))
}

fn answer(text: &str, query: Option<&Value>, version: Option<u32>) -> Result<Option<Value>, Error> {
    let Some(network) = Network::parse(text) else {
        return Ok(None);
    };
    if version.is_some_and(|version| version != network.version()) {
        return Ok(None);
    }
    let Some(query) = query else {
        return Ok(Some(Value::from(text)));
    };
    match query.as_str() {
        Some("") => Ok(Some(Value::from(text))),
        Some(query) => match query.parse() {
            Ok(index) => Ok(nth(network, index)),
            Err(_) => named(network, text, query),
        },
        None => match query.as_i64() {
            Some(index) => Ok(nth(network, index)),
            None => Err(invalid("the query of `ipaddr` must be a text or a number")),
        },
    }
}

/// The address with that number in its network, from the end if negative.
fn nth(network: Network, index: i64) -> Option<Value> {
    let offset = u128::from(index.unsigned_abs());
    let bits = if index < 0 {
        network.last().checked_sub(offset - 1)?
    } else {
        network.first().checked_add(offset)?
    };
    let inside = (network.first()..=network.last()).contains(&bits);
    inside.then(|| Value::from(format!("{}/{}", network.show(bits), network.prefix)))
}

fn named(network: Network, text: &str, query: &str) -> Result<Option<Value>, Error> {
    let show = |bits: u128| Value::from(network.show(bits));
    let with_prefix =
        |bits: u128| Value::from(format!("{}/{}", network.show(bits), network.prefix));
    let when = |condition: bool, value: Value| condition.then_some(value);
    let given = || Value::from(text);
    let is_single = network.host_mask() == 0;
    let size = network.host_mask().saturating_add(1);
    Ok(match query {
        "address" | "ip" => when(!network.is_network(), show(network.bits())),
        "bool" => Some(Value::from(true)),
        "broadcast" => when(network.host_mask() > 1, show(network.last())),
        "cidr" => Some(with_prefix(network.bits())),
        "first_usable" => when(network.host_mask() > 1, show(network.first() + 1)),
        "host" => when(!network.is_network(), with_prefix(network.bits())),
        "host/prefix" => when(!network.is_network(), with_prefix(network.bits())),
        "hostmask" | "wildcard" => Some(show(network.host_mask())),
        "ipv4" => when(network.version() == 4, given()),
        "ipv6" => when(network.version() == 6, given()),
        "last_usable" => when(
            network.host_mask() > 1,
            show(network.last() - u128::from(network.version() == 4)),
        ),
        "loopback" | "lo" => when(network.is_loopback(), given()),
        "multicast" => when(network.address.is_multicast(), given()),
        "net" => when(network.is_network(), with_prefix(network.first())),
        "netmask" => Some(show(!network.host_mask())),
        "network" => Some(show(network.first())),
        "network/prefix" | "subnet" => when(
            network.has_prefix || is_single,
            with_prefix(network.first()),
        ),
        "prefix" => Some(Value::from(network.prefix)),
        "private" => when(network.is_private(), given()),
        "public" => when(is_public(network), given()),
        "range_usable" => when(
            network.host_mask() > 1,
            Value::from(format!(
                "{}-{}",
                network.show(network.first() + 1),
                network.show(network.last() - 1)
            )),
        ),
        "revdns" => Some(Value::from(reverse_name(network.address))),
        "size" => Some(i64::try_from(size).map_or(Value::from(size), Value::from)),
        "type" => Some(Value::from(if network.is_network() {
            "network"
        } else {
            "address"
        })),
        "unicast" => when(!network.address.is_multicast(), given()),
        "version" => Some(Value::from(network.version())),
        "wrap" => Some(Value::from(wrapped(text))),
        _ => return Err(invalid(format!("`ipaddr` has no query `{query}` here"))),
    })
}

fn is_public(network: Network) -> bool {
    let address = network.address;
    let local = match address {
        IpAddr::V4(address) => {
            address.is_link_local() || address.is_broadcast() || address.is_documentation()
        }
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let special = address.is_multicast() || address.is_unspecified() || network.is_loopback();
    !local && !special && !network.is_private()
}

fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let hex: String = address
                .octets()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let digits: String = hex.chars().rev().flat_map(|digit| [digit, '.']).collect();
            format!("{digits}ip6.arpa.")
        }
    }
}

/// An IPv6 address goes in brackets before a port.
fn ip_wrap(value: &Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::Seq {
        let wrap = |item: &Value| Value::from(wrapped(&python::text(item)));
        return Ok(items(value)?.iter().map(wrap).collect());
    }
    Ok(Value::from(wrapped(&python::text(value))))
}

fn wrapped(text: &str) -> String {
    match Network::parse(text) {
        Some(network) if network.version() == 6 => {
            let (address, prefix) = text
                .split_once('/')
                .map_or((text, String::new()), |(a, p)| (a, format!("/{p}")));
            format!("[{address}]{prefix}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn ask(text: &str, query: &str) -> String {
        python::text(&filter(&Value::from(text), Some(Value::from(query)), None).unwrap())
    }

    #[test]
    fn common_queries_are_answered() {
        for (text, query, expected) in [
            ("192.168.1.7/24", "address", "192.168.1.7"),
            ("192.168.1.7/24", "network", "192.168.1.0"),
            ("192.168.1.7/24", "netmask", "255.255.255.0"),
            ("192.168.1.7/24", "prefix", "24"),
            ("192.168.1.7/24", "broadcast", "192.168.1.255"),
            ("192.168.1.7/24", "subnet", "192.168.1.0/24"),
            ("192.168.1.0/24", "net", "192.168.1.0/24"),
            ("192.168.1.7/24", "net", "False"),
            ("192.168.1.0/24", "1", "192.168.1.1/24"),
            ("192.168.1.0/24", "-1", "192.168.1.255/24"),
            ("192.168.1.0/24", "size", "256"),
            ("10.0.0.1", "prefix", "32"),
            ("10.0.0.1", "private", "10.0.0.1"),
            ("10.0.0.1", "public", "False"),
            ("10.0.0.1/255.255.0.0", "prefix", "16"),
            ("fd00::1/64", "network", "fd00::"),
            ("nonsense", "address", "False"),
        ] {
            assert_eq!(ask(text, query), expected, "{text} {query}");
        }
    }

    #[test]
    fn an_address_is_wrapped_before_a_port() {
        assert_eq!(wrapped("fe80::1"), "[fe80::1]");
        assert_eq!(wrapped("10.0.0.1"), "10.0.0.1");
    }
}
