//! Reading a family in step with what is expected in it, so that nothing else stays unseen.

use pds_schemas::EpochNumber;

use super::{Checker, Problem, Progress, Reported};
use crate::family::read_number;
use crate::scan::{Pair, Scan};
use crate::{Damage, DatabaseError, Family, Store, StoreError};

/// Keys between two signs of life.
const STEP: u64 = 1024;

/// A cursor that is told what comes next, and reports all that comes instead.
pub(super) struct Lane<'a> {
    family: Family,
    scan: Scan<'a>,
    /// Key last taken.
    last: Vec<u8>,
    /// Reading on failed, also from behind `last`.
    lost: bool,
}

impl<'a> Lane<'a> {
    pub fn new(store: &'a Store, family: Family) -> Self {
        Self { family, scan: store.scan(family, &[]), last: Vec::new(), lost: false }
    }

    /// The value under `key`, which must be there and is above all keys asked for before.
    pub fn take(&mut self, key: &[u8], checker: &mut Checker<'_>) -> Result<Vec<u8>, Reported> {
        loop {
            match self.take_within(key, checker) {
                Some((found, value)) if found == key => return Ok(value),
                Some((found, _)) => checker.add(self.family.at(found), Problem::Key),
                None if self.lost => return Err(Reported),
                None => {
                    checker.add(self.family.at(key), Damage::Missing);
                    return Err(Reported);
                }
            }
        }
    }

    /// The next key that begins with `prefix`, and its value. Prefixes ascend from call to call.
    pub fn take_within(&mut self, prefix: &[u8], checker: &mut Checker<'_>) -> Option<Pair> {
        if std::mem::take(&mut self.lost) {
            self.scan.seek(prefix);
        }
        let mut retried = false;
        loop {
            match self.scan.current() {
                Ok(Some((key, value))) if key.starts_with(prefix) => {
                    let pair = (key.to_vec(), value.to_vec());
                    self.last.clone_from(&pair.0);
                    self.scan.advance();
                    return Some(pair);
                }
                Ok(Some((key, _))) if key < prefix => {
                    checker.add(self.family.at(key), Problem::Key);
                    self.scan.advance();
                }
                Ok(_) => return None,
                Err(_) if retried => {
                    self.lost = true;
                    return None;
                }
                Err(error) => {
                    checker.add(self.family.at(prefix), unreadable(self.family, error));
                    retried = true;
                    // Whatever stood between the last key and the one that is wanted is skipped.
                    self.scan.seek(prefix.max(&successor(&self.last)));
                }
            }
        }
    }

    /// Reports everything that is left; no epoch from `size` on is covered by the head.
    pub fn finish(mut self, size: u64, checker: &mut Checker<'_>) {
        if self.lost {
            self.scan.seek(&self.key_of(EpochNumber(size)));
        }
        loop {
            match self.scan.current() {
                Ok(Some((key, _))) => {
                    let problem = match self.epoch_of(key) {
                        None => Problem::Key,
                        Some(epoch) if epoch == size && self.is_of_batch_a() => Problem::Unfinished,
                        Some(_) => Problem::Beyond,
                    };
                    checker.add(self.family.at(key), problem);
                    self.scan.advance();
                }
                Ok(None) => return,
                Err(error) => return checker.add(self.family.at([]), unreadable(self.family, error)),
            }
        }
    }

    fn key_of(&self, epoch: EpochNumber) -> Vec<u8> {
        match self.family {
            Family::Pages => pds_core::prefix::PageId::key_prefix(epoch).map_or([0xff; 5].into(), Into::into),
            _ => epoch.0.to_be_bytes().into(),
        }
    }

    fn epoch_of(&self, key: &[u8]) -> Option<u64> {
        match self.family {
            Family::Pages => pds_core::prefix::PageId::from_key(key).ok().map(|id| id.epoch().0),
            _ => read_number(key),
        }
    }

    fn is_of_batch_a(&self) -> bool {
        matches!(self.family, Family::Pages | Family::Transitions)
    }
}

impl Checker<'_> {
    /// Shows every key and value of `family`. Where reading fails, the finding names the last key that could be read, and
    /// what has the same first two bytes is skipped.
    pub(super) fn for_each(&mut self, family: Family, mut visit: impl FnMut(&mut Self, &[u8], &[u8])) {
        let mut scan = self.store.scan(family, &[]);
        let mut last = Vec::new();
        let mut done = 0;
        let mut failing = false;
        loop {
            match scan.current() {
                Ok(Some((key, value))) => {
                    failing = false;
                    visit(self, key, value);
                    last = key.to_vec();
                    done += 1;
                    if done % STEP == 0 {
                        (self.progress)(Progress { family, done, of: None });
                    }
                    scan.advance();
                }
                Ok(None) => break,
                Err(error) => {
                    // A damaged block is one finding, however many steps it takes to get past it.
                    if !std::mem::replace(&mut failing, true) {
                        self.add(family.at(last.clone()), unreadable(family, error));
                    }
                    let first_two = [last.first(), last.get(1)].map(|byte| byte.copied().unwrap_or(0));
                    let Some(next) = u16::from_be_bytes(first_two).checked_add(1) else { break };
                    last = next.to_be_bytes().into();
                    scan.seek(&last);
                }
            }
        }
        (self.progress)(Progress { family, done, of: Some(done) });
    }
}

fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn unreadable(family: Family, source: DatabaseError) -> Problem {
    Problem::Unreadable(StoreError::Database { doing: format!("read {family} in order"), source })
}
