//! Tells clients that the list of tools changed, no faster than they can follow.

use std::time::Duration;

use tokio::sync::watch;

/// The least time between two announcements. What changes meanwhile is one change.
const PACE: Duration = Duration::from_millis(250);

/// Calls `tell` after changes, until there can be none any more or nobody is there to be told.
pub(crate) async fn announce<E, F>(mut changes: watch::Receiver<u64>, mut tell: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>>,
{
    while changes.changed().await.is_ok() {
        if tell().await.is_err() {
            return;
        }
        tokio::time::sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{PACE, announce};
    use std::convert::Infallible;
    use std::time::Duration;
    use tokio::sync::watch;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_changes_all_the_time_is_announced_four_times_a_second() {
        let changes = watch::Sender::new(0);
        let begun = Instant::now();
        let mut told = Vec::new();
        let announcing = announce(changes.subscribe(), || {
            told.push(begun.elapsed());
            std::future::ready(Ok::<(), Infallible>(()))
        });
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        let changing = async {
            for _ in 0..2_000 {
                changes.send_modify(|n| *n += 1);
                ticks.tick().await;
            }
            drop(changes);
        };
        tokio::join!(announcing, changing);
        assert_eq!(told.first(), Some(&Duration::ZERO), "the first at once");
        assert!((8..=9).contains(&told.len()), "{told:?}");
        assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= PACE), "{told:?}");
    }
}
