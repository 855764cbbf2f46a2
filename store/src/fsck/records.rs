//! Blobs: each by itself, and what the changes, STRs and records name.
//!
//! A blob that is named is looked for here; that it has the hash it is stored under is checked once, when all blobs are
//! read. So a damaged blob is one finding, however often it is named.

use pds_core::hash::sha256;
use pds_schemas::prefix::Change;
use pds_schemas::{
    Artefact, Binding, BuildEnvironment, DecodeError, Digest, EpochNumber, FailureCause, NameRecord,
    OwnerRecord, PluginName, Policy, SignedTreeRoot,
};

use super::{Checker, Problem, Reported};
use crate::family::{blob_key, read_blob_key};
use crate::{BlobKind, Damage, Family, Place};

impl Checker<'_> {
    /// Checks the name record that a change leads to, and all that it names.
    pub(super) fn check_change(&mut self, epoch: EpochNumber, change: &Change) -> Result<(), Reported> {
        let by = Family::Transitions.at(epoch.0.to_be_bytes());
        let record: NameRecord = self.named_artefact(BlobKind::NameRecord, &change.new, &by)?;
        let place = || place_of(BlobKind::NameRecord, &change.new);
        self.require(
            record.name == change.name,
            place,
            "is of another name than the change that leads to it",
        );
        self.require(record.previous == change.old, place, "its previous record is not the one it replaced");
        self.require(record.changed == epoch, place, "its epoch is not the one that it came with");
        let by = place();
        // One that is damaged does not keep the others from being looked at.
        let _ = self.check_owner(&record, &by);
        if let Some(binding) = &record.binding {
            let _ = self.check_binding(&record, binding, &by);
        }
        if let Some(cause) = &record.cause {
            let _ = self.check_cause(&record.name, cause, &by);
        }
        Ok(())
    }

    pub(super) fn check_policy(&mut self, epoch: EpochNumber, str: &SignedTreeRoot) {
        self.exists(BlobKind::Policy, &str.policy, &Family::Entries.at(epoch.0.to_be_bytes()));
    }

    /// Checks that each blob is what its key says.
    pub(super) fn check_blobs(&mut self) {
        self.for_each(Family::Blobs, |checker, key, value| {
            checker.counts.blobs += 1;
            let Some((kind, digest)) = read_blob_key(key) else {
                return checker.add(Family::Blobs.at(key), Problem::Key);
            };
            let computed = sha256(value);
            if computed != digest {
                return checker.add(Family::Blobs.at(key), Damage::Digest(computed));
            }
            if let Err(error) = check_shape(kind, value) {
                checker.add(Family::Blobs.at(key), Damage::Malformed(error));
            }
        });
    }

    /// Checks that a blob is there.
    pub(super) fn exists(&mut self, kind: BlobKind, digest: &Digest, by: &Place) {
        let key = blob_key(kind, digest);
        match self.store.has(Family::Blobs, &key) {
            Ok(true) => {}
            Ok(false) => self.add(Family::Blobs.at(key), Problem::Unresolved(by.clone())),
            Err(error) => {
                self.unreadable(Family::Blobs.at(key), error);
            }
        }
    }

    /// The bytes of a blob that `by` names. Those with another hash are left to [`Self::check_blobs`].
    fn named(&mut self, kind: BlobKind, digest: &Digest, by: &Place) -> Result<Vec<u8>, Reported> {
        let key = blob_key(kind, digest);
        match self.read(Family::Blobs, &key)? {
            Some(bytes) if sha256(&bytes) == *digest => Ok(bytes),
            Some(_) => Err(Reported),
            None => {
                self.add(Family::Blobs.at(key), Problem::Unresolved(by.clone()));
                Err(Reported)
            }
        }
    }

    /// The artefact in a blob that `by` names. What is not one is left to [`Self::check_blobs`].
    pub(super) fn named_artefact<T: Artefact>(
        &mut self,
        kind: BlobKind,
        digest: &Digest,
        by: &Place,
    ) -> Result<T, Reported> {
        let bytes = self.named(kind, digest, by)?;
        T::from_bytes(&bytes).map_err(|_| Reported)
    }

    fn check_owner(&mut self, record: &NameRecord, by: &Place) -> Result<(), Reported> {
        let bytes = self.named(BlobKind::Object, &record.owner, by)?;
        let place = || place_of(BlobKind::Object, &record.owner);
        let owner: OwnerRecord = self.decode(place, &bytes)?;
        self.require(owner.name == record.name, place, "is the owner record of another name");
        Ok(())
    }

    fn check_binding(&mut self, record: &NameRecord, digest: &Digest, by: &Place) -> Result<(), Reported> {
        let binding: Binding = self.named_artefact(BlobKind::Binding, digest, by)?;
        let place = || place_of(BlobKind::Binding, digest);
        self.require(binding.name == record.name, place, "is the binding of another name");
        let seen = binding.release <= record.highest_release;
        self.require(seen, place, "is of a release above the highest that its record has seen");
        let by = place();
        for (_, object) in binding.objects.iter() {
            self.exists(BlobKind::Object, object, &by);
        }
        self.exists(BlobKind::Object, &binding.manifest, &by);
        self.exists(BlobKind::Policy, &binding.policy, &by);
        let bytes = self.named(BlobKind::Object, &binding.environment, &by)?;
        self.decode::<BuildEnvironment>(|| place_of(BlobKind::Object, &binding.environment), &bytes)?;
        Ok(())
    }

    fn check_cause(&mut self, name: &PluginName, digest: &Digest, by: &Place) -> Result<(), Reported> {
        let cause: FailureCause = self.named_artefact(BlobKind::Cause, digest, by)?;
        let place = || place_of(BlobKind::Cause, digest);
        self.require(cause.name == *name, place, "is the cause of another name's failure");
        self.exists(BlobKind::Policy, &cause.policy, &place());
        Ok(())
    }
}

fn check_shape(kind: BlobKind, bytes: &[u8]) -> Result<(), DecodeError> {
    match kind {
        BlobKind::NameRecord => NameRecord::from_bytes(bytes).map(drop),
        BlobKind::Binding => Binding::from_bytes(bytes).map(drop),
        BlobKind::Cause => FailureCause::from_bytes(bytes).map(drop),
        BlobKind::Policy => Policy::from_bytes(bytes).map(drop),
        BlobKind::Object => Ok(()),
    }
}

fn place_of(kind: BlobKind, digest: &Digest) -> Place {
    Family::Blobs.at(blob_key(kind, digest))
}
