//! Operations about names: evidence of now and of the past, absence, histories.

use pds_core::checkpoint::Checkpoint;
use pds_core::evidence::{self, Currency, Verified};
use pds_core::hash::sha256;
use pds_core::note::{Note, NoteError};
use pds_schemas::{Artefact, EpochNumber, NameRecord, PluginName};

use super::finding::{Finding, Trouble};
use super::random::Random;
use super::session::{Answered, Session};
use super::target::Offered;
use crate::trust::KnownValidator;

impl Session {
    /// Evidence about a name, now or at an epoch, verified as a peer does, its checkpoint one with all that were seen.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn verified_evidence(
        &self,
        known: &KnownValidator,
        name: &PluginName,
        asked: Option<EpochNumber>,
        answered: &mut Answered,
    ) -> Result<Verified, Trouble> {
        let before = self.view.newest();
        let evidence = answered.by(self.target.api.evidence(name, asked)).await?;
        let verified =
            evidence::verify(&known.trusted, name, &evidence, &self.target.window(), &mut Vec::new())
                .map_err(|cause| Finding::Evidence { name: name.clone(), cause })?;
        let is_asked = match asked {
            Some(epoch) => verified.str.epoch == epoch,
            None => verified.currency == Currency::Now,
        };
        if !is_asked {
            let found = verified.str.epoch;
            return Err(Finding::OtherEpoch { name: name.clone(), asked, found }.into());
        }
        let is_newest = before.as_ref().is_some_and(|head| head.checkpoint.note == evidence.checkpoint);
        if !is_newest {
            self.meet_signed(&read_verified(evidence.checkpoint)?, before.as_deref()).await?;
        }
        Ok(verified)
    }

    /// [`super::Operation::Evidence`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn evidence(
        &self,
        known: &KnownValidator,
        name: &PluginName,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let Verified { str, record, .. } = self.verified_evidence(known, name, None, answered).await?;
        self.names.hold(name, str.epoch, record.as_ref(), true)
    }

    /// [`super::Operation::Absence`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn absence(
        &self,
        known: &KnownValidator,
        random: &mut Random,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let name = format!("hammer.nobody.x{:016x}{:016x}", random.number(), random.number());
        let name = PluginName::new(name).expect("labels of letters and digits");
        match self.verified_evidence(known, &name, None, answered).await?.record {
            None => Ok(()),
            Some(_) => Err(Finding::Appeared(name).into()),
        }
    }

    /// [`super::Operation::Old`].
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn old(
        &self,
        known: &KnownValidator,
        name: &PluginName,
        random: &mut Random,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let epoch = EpochNumber(random.below(self.head().await?.checkpoint.size.0));
        let verified = self.verified_evidence(known, name, Some(epoch), answered).await?;
        self.names.hold(name, epoch, verified.record.as_ref(), false)
    }

    /// [`super::Operation::History`]: a chain, and evidence of the epoch of one of its records has that record.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn history(
        &self,
        known: &KnownValidator,
        name: &PluginName,
        random: &mut Random,
        answered: &mut Answered,
    ) -> Result<(), Trouble> {
        let history = match answered.by(self.target.api.history(name, None)).await {
            // A name that was never seen has none, and rightly so; evidence tells.
            Err(error) if error.is_not_found() => {
                self.evidence(known, name, &mut Answered::default()).await?;
                return Err(error.into());
            }
            history => history?,
        };
        let wrong = |rule| Finding::History { name: name.clone(), rule };
        let records = read_chain(name, &history.records).map_err(wrong)?;
        let at = usize::try_from(random.below(records.len() as u64)).unwrap_or(0);
        let record = records.get(at).ok_or_else(|| wrong("it is empty"))?;
        let asked = Some(record.changed);
        let verified = self.verified_evidence(known, name, asked, &mut Answered::default()).await?;
        if verified.record.as_ref() == Some(record) {
            return Ok(());
        }
        Err(wrong("evidence of a record's epoch has another record").into())
    }
}

/// Records of one name, newest first, each naming the next by its digest.
fn read_chain(name: &PluginName, records: &[Vec<u8>]) -> Result<Vec<NameRecord>, &'static str> {
    let mut read: Vec<NameRecord> = Vec::with_capacity(records.len());
    for bytes in records {
        let record = NameRecord::from_bytes(bytes).map_err(|_| "a record is malformed")?;
        if record.name != *name {
            return Err("a record is about another name");
        }
        if let Some(newer) = read.last() {
            if newer.previous != Some(sha256(bytes)) {
                return Err("a record does not name the one before");
            }
            if newer.changed <= record.changed {
                return Err("a record is of no later epoch than the one before");
            }
        }
        read.push(record);
    }
    Ok(read)
}

/// What a checkpoint says whose signatures were verified with the evidence around it.
fn read_verified(note: String) -> Result<Offered, Trouble> {
    let parsed = Note::parse(note.as_bytes()).map_err(|e: NoteError| Finding::Checkpoint(e.into()))?;
    let Checkpoint { size, root, .. } = parsed.text().parse().map_err(Finding::Checkpoint)?;
    Ok(Offered { size, root, note })
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    #[test]
    fn history_is_refused_when_it_is_no_chain() {
        let name: PluginName = "org.example.a".parse().unwrap();
        let record = |release, changed, previous| NameRecord {
            changed: EpochNumber(changed),
            previous,
            ..names::tests::record(&name, release)
        };
        let first = record(1, 3, None).to_bytes();
        let second = record(2, 5, Some(sha256(&first))).to_bytes();
        let check = |records: &[&Vec<u8>], expect: Result<usize, &str>| {
            let records: Vec<Vec<u8>> = records.iter().map(|bytes| (*bytes).clone()).collect();
            assert_eq!(read_chain(&name, &records).map(|read| read.len()), expect);
        };
        check(&[&second, &first], Ok(2));
        check(&[&first], Ok(1));
        check(&[], Ok(0));
        check(&[&first, &second], Err("a record does not name the one before"));
        check(&[&second, &second], Err("a record does not name the one before"));
        check(&[&second[1..].to_vec()], Err("a record is malformed"));
        let back = record(2, 3, Some(sha256(&first))).to_bytes();
        check(&[&back, &first], Err("a record is of no later epoch than the one before"));
        let mut other = record(1, 3, None);
        other.name = "org.example.b".parse().unwrap();
        check(&[&other.to_bytes()], Err("a record is about another name"));
    }
}
