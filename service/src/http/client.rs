//! Who a request is from, as far as fairness goes, and what each holds.
//!
//! Not an identity: an address is evidence of nothing. It only keeps one client from taking what is there for all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;

/// The holder of a share. Handlers find it in a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// One IPv4 address, or one IPv6 network of 64 bits: what a household or a virtual machine usually has.
    One(IpAddr),
    /// A proxy that does not say for whom it asks. It has no share, only what all have.
    Many,
}

impl Client {
    /// Who connects from `address`.
    pub fn of(address: IpAddr, proxies: &[IpAddr]) -> Self {
        let address = address.to_canonical();
        if proxies.contains(&address) { Self::Many } else { Self::one(address) }
    }

    /// Who asks through a proxy, by the address that this proxy added: the last one.
    pub fn behind(proxy: &HeaderMap) -> Self {
        let lines = proxy.get_all("x-forwarded-for");
        let last = lines.into_iter().next_back().and_then(|line| line.to_str().ok());
        let last = last.and_then(|line| line.rsplit(',').next()).map(str::trim);
        let address = last.and_then(|text| {
            text.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        });
        address.map_or(Self::Many, |address: IpAddr| Self::one(address.to_canonical()))
    }

    fn one(address: IpAddr) -> Self {
        Self::One(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })
    }
}

/// How much of something each client holds now, with the most that one may.
#[derive(Debug)]
pub struct Shares {
    /// Most that one client may hold.
    pub limit: usize,
    /// Who holds nothing has no entry, so there are at most as many as there are shares held.
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl Shares {
    /// Nobody holds anything, and may hold up to `limit`.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default() })
    }

    /// One more for `client`, or none if it holds its share already. [`Client::Many`] always gets one.
    pub fn take(self: &Arc<Self>, client: Client) -> Option<Share> {
        self.take_many(client, 1)
    }

    /// `amount` more for `client`, or none of them if they exceed its share.
    pub fn take_many(self: &Arc<Self>, client: Client, amount: usize) -> Option<Share> {
        let mut share = Share { shares: Arc::clone(self), client, amount: 0 };
        share.grow_by(amount).then_some(share)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A count is changed in one step; a panic elsewhere leaves it right.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one client holds; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    client: Client,
    amount: usize,
}

impl Share {
    /// One more, unless the client holds its share already.
    #[must_use]
    pub fn grow(&mut self) -> bool {
        self.grow_by(1)
    }

    fn grow_by(&mut self, amount: usize) -> bool {
        let Client::One(address) = self.client else { return true };
        let mut held = self.shares.held();
        let count = held.get(&address).copied().unwrap_or_default();
        if count + amount > self.shares.limit {
            return false;
        }
        held.insert(address, count + amount);
        self.amount += amount;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Client::One(address) = self.client else { return };
        let mut held = self.shares.held();
        if let Some(count) = held.get_mut(&address) {
            *count = count.saturating_sub(self.amount);
            if *count == 0 {
                held.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(address: &str) -> Client {
        Client::of(address.parse().unwrap(), &[])
    }

    #[test]
    fn client_is_an_address_or_a_network() {
        assert_eq!(one("192.0.2.1"), one("::ffff:192.0.2.1"));
        assert_ne!(one("192.0.2.1"), one("192.0.2.2"));
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:0:0:2"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(
            Client::of("::ffff:127.0.0.1".parse().unwrap(), &["127.0.0.1".parse().unwrap()]),
            Client::Many
        );
    }

    #[test]
    fn client_behind_a_proxy_is_the_last_address() {
        let check = |lines: &[&str], expect: Client| {
            let lines =
                lines.iter().map(|line| (axum::http::HeaderName::from_static("x-forwarded-for"), line));
            let headers = lines.map(|(name, line)| (name, line.parse().unwrap())).collect();
            assert_eq!(Client::behind(&headers), expect);
        };
        check(&[], Client::Many);
        check(&["unknown"], Client::Many);
        check(&["192.0.2.1"], one("192.0.2.1"));
        check(&["192.0.2.9, 192.0.2.1"], one("192.0.2.1"));
        check(&["192.0.2.9", "192.0.2.1:4711"], one("192.0.2.1"));
        check(&["[2001:db8::1]:80"], one("2001:db8::1"));
        check(&["192.0.2.1,"], Client::Many);
    }

    #[test]
    fn share_is_given_back_when_dropped() {
        let shares = Shares::new(2);
        let (client, other) = (one("192.0.2.1"), one("192.0.2.2"));
        let mut share = shares.take(client).unwrap();
        assert!(share.grow());
        assert!(!share.grow());
        assert!(shares.take(client).is_none());
        drop(shares.take(other).unwrap());
        drop(share);
        assert!(shares.take(client).is_some());
        assert!(shares.held().is_empty());
        assert!(shares.take_many(client, 3).is_none());
        assert!(shares.held().is_empty(), "who gets nothing leaves no trace");
    }

    #[test]
    fn share_of_many_has_no_limit() {
        let shares = Shares::new(1);
        let held: Vec<Share> = (0..3).filter_map(|_| shares.take(Client::Many)).collect();
        assert_eq!(held.len(), 3);
    }
}
