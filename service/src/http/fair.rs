//! A semaphore whose permits go round the clients that wait, instead of to whoever queued up most often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::client::Client;
use crate::turns::Turns;

/// A number of permits, handed to clients in turns. All requests of [`Client::Many`] wait as one client.
#[derive(Debug)]
pub struct FairSemaphore {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Permits that nobody holds; none while somebody waits.
    free: usize,
    waiting: Turns<Client, oneshot::Sender<FairPermit>>,
}

/// One permit; dropping it hands it to the next in turn.
#[derive(Debug)]
pub struct FairPermit {
    /// `None` once it was handed on.
    of: Option<Arc<FairSemaphore>>,
}

impl FairSemaphore {
    /// With this many permits.
    pub fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: permits, waiting: Turns::default() }) })
    }

    /// A permit, once it is `client`'s turn. Who gives up waiting is passed over.
    pub async fn acquire(self: &Arc<Self>, client: Client) -> FairPermit {
        loop {
            let turn = {
                let mut state = self.state();
                if state.free > 0 {
                    state.free -= 1;
                    return FairPermit { of: Some(Arc::clone(self)) };
                }
                let (sender, turn) = oneshot::channel();
                state.waiting.push(client, sender);
                turn
            };
            // A sender is only dropped after it has sent; were it not, there would be a permit to take.
            if let Ok(permit) = turn.await {
                return permit;
            }
        }
    }

    /// The next in turn, or one more free permit if nobody waits.
    fn next(&self) -> Option<oneshot::Sender<FairPermit>> {
        let mut state = self.state();
        let next = state.waiting.pop();
        if next.is_none() {
            state.free += 1;
        }
        next.map(|(_, sender)| sender)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step; a panic elsewhere leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        let Some(semaphore) = self.of.take() else { return };
        while let Some(next) = semaphore.next() {
            let Err(mut unwanted) = next.send(Self { of: Some(Arc::clone(&semaphore)) }) else { return };
            // Whoever waited is gone. Not dropped as it is: that would go on from here, one call deeper.
            unwanted.of = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn client(last: u8) -> Client {
        Client::of([192, 0, 2, last].into(), &[])
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn permits_go_round_the_clients() {
        let semaphore = FairSemaphore::new(1);
        let Poll::Ready(held) = poll(pin!(semaphore.acquire(client(1)))) else { panic!("one was free") };
        let mut greedy = [client(1); 3].map(|client| Box::pin(semaphore.acquire(client)));
        for waiting in &mut greedy {
            assert!(poll(waiting.as_mut()).is_pending());
        }
        let mut modest = pin!(semaphore.acquire(client(2)));
        assert!(poll(modest.as_mut()).is_pending());
        drop(held);
        let Poll::Ready(first) = poll(greedy[0].as_mut()) else { panic!("it came first") };
        assert!(poll(modest.as_mut()).is_pending());
        drop(first);
        assert!(poll(greedy[1].as_mut()).is_pending());
        assert!(poll(modest).is_ready());
    }

    #[test]
    fn permit_passes_over_who_gave_up() {
        let semaphore = FairSemaphore::new(1);
        let Poll::Ready(held) = poll(pin!(semaphore.acquire(client(1)))) else { panic!("one was free") };
        for _ in 0..100_000 {
            assert!(poll(pin!(semaphore.acquire(client(2)))).is_pending());
        }
        let mut last = pin!(semaphore.acquire(client(2)));
        assert!(poll(last.as_mut()).is_pending());
        drop(held);
        assert!(poll(last).is_ready());
    }

    #[test]
    fn permit_comes_back_when_its_receiver_is_dropped_unread() {
        let semaphore = FairSemaphore::new(1);
        let Poll::Ready(held) = poll(pin!(semaphore.acquire(client(1)))) else { panic!("one was free") };
        let mut waiting = Box::pin(semaphore.acquire(client(2)));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(held);
        drop(waiting);
        assert!(poll(pin!(semaphore.acquire(client(3)))).is_ready());
    }
}
