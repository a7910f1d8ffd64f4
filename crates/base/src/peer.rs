//! Which addresses count as one peer, wherever something is bounded for each.

use std::net::{IpAddr, Ipv6Addr};

/// The part of an IPv6 address that names a network: the rest is free to be chosen by whoever is in it, so that a single
/// host has as many addresses as it wants.
pub const NETWORK_BITS: u32 = 64;
const NETWORK: u128 = u128::MAX << (u128::BITS - NETWORK_BITS);

/// An IPv4 address, in whichever family it is written, or the network of an IPv6 address.
pub fn of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if is_in_a_network(address) => {
            Ipv6Addr::from_bits(address.to_bits() & NETWORK).into()
        }
        address => address,
    }
}

/// All links have the same link-local network: there, hosts are told apart by nothing but their addresses.
pub fn is_in_a_network(address: Ipv6Addr) -> bool {
    !address.is_loopback() && !address.is_unicast_link_local()
}
