//! What a server grants its clients, and the `[http]` table of a daemon's configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Deserializer};

/// Files that a daemon needs besides its connections: its database, refusals being told, what it writes.
const OWN_FILES: usize = 1024;

/// Bounds on connections and on the requests in them. `deploy/log-server.toml` shows the table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeLimits {
    /// Connections open at a time. More are answered 503 and closed. Default 4,096; 1 to 100,000.
    pub connections: usize,
    /// Of these, those of one client. More are answered 429 and closed. Default 64.
    pub connections_per_client: usize,
    /// Requests under way at a time, until the last of their answer is taken over. More are answered 503. Default 4,096.
    pub requests: usize,
    /// Of these, those of one client. More are answered 429. Default 64.
    pub requests_per_client: usize,
    /// Bytes of a request's target and headers, 4,096 to 65,536. More are answered 431. Default 32,768.
    pub header_bytes: usize,
    /// Headers of a request, 16 to 1,000. More are answered 431. Default 64.
    pub headers: usize,
    /// Longest time from a connection's start, or a later request's first byte, to the end of its headers. Default 10 s.
    #[serde(rename = "header_timeout_s", deserialize_with = "seconds")]
    pub header_timeout: Duration,
    /// Longest time between two requests in one connection. Default 60 s.
    #[serde(rename = "idle_timeout_s", deserialize_with = "seconds")]
    pub idle_timeout: Duration,
    /// Longest pause in a request's body, which is answered 408. Default 10 s.
    #[serde(rename = "body_timeout_s", deserialize_with = "seconds")]
    pub body_timeout: Duration,
    /// Mebibytes that answers of more than 32 KiB take up together until their clients have read them, of which one client
    /// has an eighth. More are answered 503 and 429. Default 256; 256 to 65,536.
    pub answer_memory_mib: usize,
    /// Longest time for a client to take 64 KiB of an answer, or its end. Default 20 s.
    #[serde(rename = "answer_timeout_s", deserialize_with = "seconds")]
    pub answer_timeout: Duration,
    /// Longest life of one HTTP/2 stream, answer included: flow control lets a client stop one without blocking the
    /// connection. Default 300 s.
    #[serde(rename = "stream_timeout_s", deserialize_with = "seconds")]
    pub stream_timeout: Duration,
    /// Longest that requests under way may hold up the server's end. Default 5 s.
    #[serde(rename = "drain_timeout_s", deserialize_with = "seconds")]
    pub drain_timeout: Duration,
    /// Addresses that stand for many clients, such as reverse proxies: no share of their own, and the last address of
    /// their `X-Forwarded-For` is the client. Default: loopback.
    pub proxies: Vec<IpAddr>,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_client: 64,
            requests: 4096,
            requests_per_client: 64,
            header_bytes: 32 << 10,
            headers: 64,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(10),
            answer_memory_mib: 256,
            answer_timeout: Duration::from_secs(20),
            stream_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(5),
            proxies: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        }
    }
}

/// A limit that is none, or more than the server can keep.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum LimitError {
    /// Out of the bounds of its key.
    #[error("http.{key} is {least} to {most}, not {value}")]
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// What it has.
        value: u64,
        /// Least that it can have.
        least: u64,
        /// Most that it can have.
        most: u64,
    },
    /// The system grants fewer open files than the connections need.
    #[error(
        "http.connections = {connections} needs {needed} open files, the system grants {granted}: see ulimit -Hn"
    )]
    OpenFiles {
        /// What is configured.
        connections: usize,
        /// Files for these and for the daemon itself.
        needed: u64,
        /// What the system grants at most.
        granted: u64,
    },
}

impl ServeLimits {
    /// Checks each limit against its bounds.
    ///
    /// # Errors
    /// [`LimitError::OutOfBounds`], naming the key.
    pub fn check(&self) -> Result<(), LimitError> {
        let bounds = [
            ("connections", self.connections as u64, 1, 100_000),
            ("connections_per_client", self.connections_per_client as u64, 1, 100_000),
            ("requests", self.requests as u64, 1, 1_000_000),
            ("requests_per_client", self.requests_per_client as u64, 1, 1_000_000),
            ("header_bytes", self.header_bytes as u64, 4096, 65_536),
            ("headers", self.headers as u64, 16, 1000),
            ("header_timeout_s", self.header_timeout.as_secs(), 1, 600),
            ("idle_timeout_s", self.idle_timeout.as_secs(), 1, 3600),
            ("body_timeout_s", self.body_timeout.as_secs(), 1, 600),
            ("answer_memory_mib", self.answer_memory_mib as u64, 256, 65_536),
            ("answer_timeout_s", self.answer_timeout.as_secs(), 1, 600),
            ("stream_timeout_s", self.stream_timeout.as_secs(), 1, 3600),
            ("drain_timeout_s", self.drain_timeout.as_secs(), 0, 600),
        ];
        let wrong = bounds.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value));
        match wrong {
            Some((key, value, least, most)) => Err(LimitError::OutOfBounds { key, value, least, most }),
            None => Ok(()),
        }
    }

    /// Raises this process's limit on open files to what the connections and the daemon itself need: a database that cannot
    /// open a file because of too many clients would stop for good.
    ///
    /// # Errors
    /// [`LimitError::OpenFiles`].
    pub fn reserve_files(&self) -> Result<(), LimitError> {
        let needed = (self.connections + OWN_FILES) as u64;
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_none_or(|current| current >= needed) {
            return Ok(());
        }
        let current = limit.current.unwrap_or_default();
        limit.current = Some(needed);
        let refused = |granted| LimitError::OpenFiles { connections: self.connections, needed, granted };
        let granted = limit.maximum.unwrap_or(current);
        setrlimit(Resource::Nofile, limit).map_err(|_| refused(granted))
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_accepted_as_they_default() {
        assert_eq!(ServeLimits::default().check(), Ok(()));
        assert_eq!(toml::from_str::<ServeLimits>("").unwrap(), ServeLimits::default());
    }

    #[test]
    fn limits_are_refused_when_one_is_out_of_bounds() {
        for (text, key) in [
            ("connections = 0", "connections"),
            ("header_bytes = 65537", "header_bytes"),
            ("idle_timeout_s = 0", "idle_timeout_s"),
        ] {
            let limits: ServeLimits = toml::from_str(text).unwrap();
            let error = limits.check().unwrap_err();
            assert!(matches!(error, LimitError::OutOfBounds { key: found, .. } if found == key), "{error}");
        }
        assert!(toml::from_str::<ServeLimits>("no_such = 1").is_err());
    }

    #[test]
    fn files_are_refused_beyond_what_the_system_grants() {
        let limits = ServeLimits { connections: usize::MAX >> 1, ..Default::default() };
        assert!(matches!(limits.reserve_files(), Err(LimitError::OpenFiles { .. })));
    }
}
