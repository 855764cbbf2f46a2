//! What all workers of a run share.

use std::sync::Arc;
use std::time::Instant;

use pds_core::note::Note;

use super::finding::{Finding, Trouble};
use super::journal::Journal;
use super::names::Names;
use super::promise::Promises;
use super::run::HammerError;
use super::target::{Offered, Target};
use super::view::{Head, View};
use crate::api::ApiError;

/// One run: whom it is about, and everything it was told.
#[derive(Debug)]
pub struct Session {
    /// Whom it is about.
    pub target: Target,
    /// Checkpoints.
    pub view: View,
    /// Names, and what was proved of them.
    pub names: Names,
    /// Submissions, and what was promised.
    pub promises: Promises,
    /// Where what must hold for ever is written down.
    pub journal: Option<Journal>,
}

/// When an operation's answer was there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered(Option<Instant>);

impl Answered {
    /// Notes when `request` ends.
    pub async fn by<T>(&mut self, request: impl Future<Output = T>) -> T {
        let answer = request.await;
        self.0 = Some(Instant::now());
        answer
    }

    /// When; now, if nothing was noted.
    pub fn at(&self) -> Instant {
        self.0.unwrap_or_else(Instant::now)
    }
}

impl Session {
    /// A run in which nothing happened yet.
    pub fn new(target: Target, journal: Option<Journal>) -> Self {
        let view = View::new(target.api.clone());
        Self { target, view, names: Names::default(), promises: Promises::default(), journal }
    }

    /// Takes a checkpoint that somebody handed out, in answer to a question that was asked when `before` was the newest.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn meet(&self, note: Note, before: Option<&Head>) -> Result<(), Trouble> {
        let offered = self.target.open(note)?;
        self.meet_signed(&offered, before).await
    }

    /// As [`Session::meet`], with its signatures verified.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn meet_signed(&self, offered: &Offered, before: Option<&Head>) -> Result<(), Trouble> {
        let is_new = self.view.meet(offered, before).await?;
        match &self.journal {
            Some(journal) if is_new => {
                journal.checkpoint(&offered.note).await.map_err(HammerError::Journal)?
            }
            _ => {}
        }
        Ok(())
    }

    /// The newest head; asks for one if there is none yet.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn head(&self) -> Result<Arc<Head>, Trouble> {
        if let Some(head) = self.view.newest() {
            return Ok(head);
        }
        self.checkpoint(&mut Answered::default()).await?;
        self.view.newest().ok_or_else(|| self.nothing("the log has no checkpoint"))
    }

    /// A finding that something which must be there is not.
    pub(super) fn nothing(&self, found: &str) -> Trouble {
        let url = self.target.api.base().to_string();
        Finding::Answer(ApiError::OtherSubject { url, found: found.to_owned() }).into()
    }
}
