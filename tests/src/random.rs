//! Repeatable choices: SplitMix64 (Steele, Lea, Flood 2014). Not for secrets.

/// A generator that gives the same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `PDS_TEST_SEED` if that is set, or else from `seed`, and prints which, so that a failure can be run again.
    pub fn from_environment(seed: u64) -> Self {
        let chosen = std::env::var("PDS_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = chosen.unwrap_or(seed);
        println!("PDS_TEST_SEED={seed}");
        Self(seed)
    }

    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is above 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }
}
