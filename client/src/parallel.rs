//! Doing some things at once, but not too many.

use std::panic;

use tokio::task::JoinSet;

/// The results of `work` on every item, in the order of the items; at most `width` run at a time.
///
/// What is under way is dropped when the returned future is.
pub async fn map<T, R, F>(
    items: impl IntoIterator<Item = T>,
    width: usize,
    mut work: impl FnMut(T) -> F,
) -> Vec<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut done: Vec<Option<R>> = Vec::new();
    let mut items = items.into_iter();
    loop {
        while running.len() < width.max(1) {
            let Some(item) = items.next() else { break };
            let (at, future) = (done.len(), work(item));
            done.push(None);
            running.spawn(async move { (at, future.await) });
        }
        match running.join_next().await {
            None => break,
            Some(Ok((at, result))) => done[at] = Some(result),
            // Nothing here aborts a task, so what ended one is a panic: it goes on where it would have gone anyway.
            Some(Err(error)) => panic::resume_unwind(error.into_panic()),
        }
    }
    done.into_iter().map(|result| result.expect("every task was joined")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn map_keeps_the_order_and_the_width() {
        let running = Arc::new(AtomicUsize::new(0));
        let results = map(0..50, 4, |i| {
            let running = Arc::clone(&running);
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                (i, now)
            }
        })
        .await;
        assert!(results.iter().map(|(i, _)| *i).eq(0..50));
        assert!(results.iter().all(|(_, now)| *now <= 4));
    }
}
