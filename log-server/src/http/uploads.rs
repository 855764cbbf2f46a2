//! What submissions may take up until the sequencer has them: memory, turns to be checked, places in the queue.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::BodyExt;
use metrics::counter;
use pds_schemas::{Artefact, Upload};
use pds_service::http::{Client, FairPermit, FairSemaphore, Share, Shares, body_too_large};
use pds_service::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::submissions::RETRY_AFTER_S;
use crate::admission::{Full, Places, QueueLimits};
use crate::config::Config;

/// Uploads that are unpacked and checked at a time.
const CHECKS: usize = 2;
/// Bytes of uploads are counted in units of this many.
const UNIT: usize = 64 << 10;
/// Of the memory for uploads, one client may have one in this many.
const CLIENTS: usize = 8;

/// What all submissions share.
#[derive(Clone)]
pub struct Uploads {
    checks: Arc<FairSemaphore>,
    /// In units.
    memory: Arc<Semaphore>,
    shares: Arc<Shares>,
    places: Arc<Places>,
    limits: QueueLimits,
}

/// What an upload takes up of the memory for all uploads, and of its client's share of that.
pub struct Room {
    units: OwnedSemaphorePermit,
    share: Share,
}

/// What there is no more of.
#[derive(Clone, Copy, Debug)]
enum Lack {
    /// The memory for all uploads.
    OfMemory,
    /// The client's share of it.
    OfShare,
}

impl Room {
    fn bytes(&self) -> usize {
        self.units.num_permits() * UNIT
    }
}

impl Uploads {
    /// Within what `config` grants; `places` are those of the queue.
    pub fn new(config: &Config, places: Arc<Places>) -> Self {
        let units = (config.upload_memory_mib << 20) / UNIT;
        Self {
            checks: FairSemaphore::new(CHECKS),
            memory: Arc::new(Semaphore::new(units)),
            shares: Shares::new(units / CLIENTS),
            places,
            limits: config.queue_limits(),
        }
    }

    /// The body, and the room that it takes up; a body that trickles takes only what it sent.
    ///
    /// # Errors
    /// 413 for a body that is too large, 429 and 503 when there is no room for it.
    pub async fn read(&self, client: Client, request: Request) -> Result<(Vec<u8>, Room), Problem> {
        let mut room = self.room(client)?;
        let mut bytes = Vec::new();
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::bad_request("body", "the body ended early"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > Upload::MAX_BYTES {
                return Err(body_too_large(Upload::MAX_BYTES));
            }
            self.take(&mut room, &mut bytes, &data)?;
        }
        Ok((bytes, room))
    }

    /// A turn to be checked, once it comes: clients that wait get one each before any gets a second.
    pub async fn turn(&self, client: Client) -> FairPermit {
        self.checks.acquire(client).await
    }

    /// Whether the queue has a place for `client`, as far as can be told before its submission is checked.
    ///
    /// # Errors
    /// Why not.
    pub fn has_place(&self, client: Client) -> Result<(), Full> {
        self.places.check_client(&self.limits, client)
    }

    fn room(&self, client: Client) -> Result<Room, Problem> {
        let share = self.shares.take(client).ok_or_else(|| self.refuse(Lack::OfShare))?;
        Ok(Room { units: self.unit().map_err(|lack| self.refuse(lack))?, share })
    }

    /// Adds `data` to `bytes`, and first what these take up to `room`: what is allocated is never more than is counted.
    fn take(&self, room: &mut Room, bytes: &mut Vec<u8>, data: &[u8]) -> Result<(), Problem> {
        let length = bytes.len() + data.len();
        if length > bytes.capacity() {
            // By half of what it has, if there is room, so that it is not copied for each unit.
            let wanted = (bytes.capacity() + bytes.capacity() / 2).min(Upload::MAX_BYTES);
            while room.bytes() < length.max(wanted) {
                match self.grow(room) {
                    Err(lack) if room.bytes() < length => return Err(self.refuse(lack)),
                    Err(_) => break,
                    Ok(()) => {}
                }
            }
            // A vector that grows by itself takes up to twice what it holds.
            bytes.reserve_exact(room.bytes() - bytes.len());
        }
        bytes.extend_from_slice(data);
        Ok(())
    }

    /// One unit more.
    fn grow(&self, room: &mut Room) -> Result<(), Lack> {
        let unit = self.unit()?;
        if !room.share.grow() {
            return Err(Lack::OfShare);
        }
        room.units.merge(unit);
        Ok(())
    }

    fn unit(&self) -> Result<OwnedSemaphorePermit, Lack> {
        Arc::clone(&self.memory).try_acquire_owned().map_err(|_| Lack::OfMemory)
    }

    fn refuse(&self, lack: Lack) -> Problem {
        match lack {
            Lack::OfMemory => {
                counter!("pds_http_refused_total", "reason" => "uploads").increment(1);
                let detail = "too many uploads at this moment";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after_s(RETRY_AFTER_S)
            }
            Lack::OfShare => {
                counter!("pds_http_refused_total", "reason" => "client-uploads").increment(1);
                let limit = self.shares.limit * UNIT;
                let detail = format!("the uploads of one client take at most {limit} bytes at a time");
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-uploads", detail);
                problem.limit(limit as u64).retry_after_s(RETRY_AFTER_S)
            }
        }
    }
}

#[cfg(test)]
impl Uploads {
    /// Units that nobody holds.
    pub fn free(&self) -> usize {
        self.memory.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config_in;

    #[test]
    fn body_takes_no_more_memory_than_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(&config_in(folder.path()), Arc::default());
        let all = uploads.free();
        for length in [1, 1000, UNIT - 1, UNIT, UNIT + 1, 3 * UNIT + 1] {
            let data = vec![7; length];
            let mut room = uploads.room(Client::Many).unwrap();
            let mut bytes = Vec::new();
            for frames in 1..=9 {
                uploads.take(&mut room, &mut bytes, &data).unwrap();
                assert_eq!(bytes.len(), frames * length);
                assert!(bytes.capacity() <= room.bytes(), "{} of {}", bytes.capacity(), room.bytes());
                assert!(
                    room.bytes() <= bytes.len() * 3 / 2 + 2 * UNIT,
                    "{} for {}",
                    room.bytes(),
                    bytes.len()
                );
            }
            assert_eq!(room.bytes(), (all - uploads.free()) * UNIT);
        }
        assert_eq!(uploads.free(), all);
    }

    #[test]
    fn body_is_taken_to_the_last_unit_and_seldom_copied() {
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(&config_in(folder.path()), Arc::default());
        let data = vec![7; 16 << 10];
        let client = Client::One([192, 0, 2, 1].into());
        let (mut rooms, mut copies) = (Vec::new(), 0);
        // One client's share, in bodies of the largest size and what is left.
        let mut left = uploads.shares.limit * UNIT;
        while left > 0 {
            let mut room = uploads.room(client).unwrap();
            let mut bytes = Vec::new();
            while bytes.len() < Upload::MAX_BYTES.min(left) {
                let before = bytes.capacity();
                uploads.take(&mut room, &mut bytes, &data).unwrap();
                copies += usize::from(bytes.capacity() != before);
            }
            left -= room.bytes();
            rooms.push((room, bytes));
        }
        assert!(rooms.len() > 1 && copies < 30 * rooms.len(), "{copies} in {} bodies", rooms.len());
        assert!(uploads.room(client).is_err());
    }
}
