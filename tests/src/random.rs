//! Repeatable choices, with the generator of `pds hammer`.

pub use pds_client::hammer::random::Random;

/// Starts from `PDS_TEST_SEED` if that is set, or else from `seed`, and prints which, so that a failure can be run again.
pub fn from_environment(seed: u64) -> Random {
    let chosen = std::env::var("PDS_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = chosen.unwrap_or(seed);
    println!("PDS_TEST_SEED={seed}");
    Random::new(seed)
}
