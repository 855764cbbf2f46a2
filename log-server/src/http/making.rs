//! Answers that take many reads, or many bytes: made on threads of their own, a few at a time, by turns between clients.
//!
//! What an answer takes of the memory for answers is counted once it is there. So what is being made must be little: no
//! client has more made at a time than there are turns, and none keeps another from the next one.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pds_service::http::{Client, FairPermit, FairSemaphore};
use tokio::task::{JoinError, spawn_blocking};

/// Answers that are made at a time. The largest, an epoch's changes, takes some tens of megabytes while it is checked.
const TURNS: usize = 2;

/// Turns to have an answer made.
#[derive(Clone, Debug)]
pub struct Making(Arc<FairSemaphore>);

impl Default for Making {
    fn default() -> Self {
        Self(FairSemaphore::new(TURNS))
    }
}

impl Making {
    /// What `make` gives, made on a thread of its own once it is `client`'s turn.
    ///
    /// # Errors
    /// When `make` panics.
    pub async fn elsewhere<T: Send + 'static>(
        &self,
        client: Client,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turn = self.turn(client).await;
        // The turn is the thread's, which goes on when the client goes away.
        let (made, _turn) = spawn_blocking(move || (make(), turn)).await?;
        Ok(made)
    }

    async fn turn(&self, client: Client) -> FairPermit {
        self.0.acquire(client).await
    }
}

/// Who asks, as far as turns go.
pub struct Asker(pub Client);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().copied().unwrap_or(Client::Many)))
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::mpsc;

    use super::*;

    fn client(last: u8) -> Client {
        Client::of([192, 0, 2, last].into(), &[])
    }

    /// All turns, until dropped.
    pub async fn all_turns(making: &Making) -> Vec<FairPermit> {
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(making.turn(client(0)).await);
        }
        turns
    }

    #[tokio::test]
    async fn answers_are_made_by_turns_between_clients() {
        let making = Making::default();
        let turns = all_turns(&making).await;
        let (made, order) = mpsc::channel();
        let mut asked = Vec::new();
        for number in [1, 1, 1, 1, 2] {
            let (making, made) = (making.clone(), made.clone());
            asked.push(tokio::spawn(async move {
                making.elsewhere(client(number), move || made.send(number).unwrap()).await.unwrap();
            }));
            // It waits for its turn, behind those before it.
            tokio::task::yield_now().await;
        }
        assert!(order.try_recv().is_err(), "nothing is made before its turn");
        // One by one.
        let mut turns = turns.into_iter();
        drop(turns.next());
        for asked in asked {
            asked.await.unwrap();
        }
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [1, 2, 1, 1, 1]);
    }

    #[tokio::test]
    async fn turn_is_kept_while_an_answer_is_made_for_a_client_that_went_away() {
        let making = Making::default();
        let mut turns = all_turns(&making).await;
        turns.pop();
        let (go, wait) = mpsc::channel::<()>();
        let (began, begun) = tokio::sync::oneshot::channel();
        let asked = tokio::spawn({
            let making = making.clone();
            async move {
                let make = move || {
                    began.send(()).unwrap();
                    let _ = wait.recv();
                };
                making.elsewhere(client(1), make).await
            }
        });
        begun.await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        let mut next = std::pin::pin!(making.turn(client(2)));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut cx).is_pending(), "the thread is still at it");
        drop(go);
        next.await;
    }
}
