//! When a failed request is made again, and after what wait.
//!
//! Two budgets, as in the configuration: one for requests that were not answered, one for responses that
//! broke off. A request is never made again once the caller has seen a part of its answer.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::error::ProviderError;

/// The longest wait that a server can ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How far a request got before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// No response had begun.
    Request,
    /// The response had begun, but none of it was handed out.
    Stream,
    /// Text or an item was handed out.
    Answer,
}

/// A wait before a request is made again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wait {
    /// Which repetition follows, from 1.
    pub(crate) attempt: u32,
    /// How many there may be.
    pub(crate) limit: u32,
    /// How long to wait.
    pub(crate) delay: Duration,
}

/// What is left of a request's repetitions.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    base: Duration,
    request: Count,
    stream: Count,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    used: u32,
    limit: u32,
}

impl Budget {
    pub(crate) fn new(request_limit: u32, stream_limit: u32, base: Duration) -> Self {
        let count = |limit| Count { used: 0, limit };
        Self { base, request: count(request_limit), stream: count(stream_limit) }
    }

    /// Spends one repetition on `error`; none if it must be reported instead.
    pub(crate) fn spend(
        &mut self,
        error: &ProviderError,
        reached: Reached,
        retry_after: Option<Duration>,
    ) -> Option<Wait> {
        if !error.is_transient() {
            return None;
        }
        let count = match reached {
            Reached::Request => &mut self.request,
            Reached::Stream => &mut self.stream,
            Reached::Answer => return None,
        };
        if count.used >= count.limit {
            return None;
        }
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(count.used));
        count.used += 1;
        let delay = retry_after.unwrap_or_else(|| jittered(doubled)).min(MAX_WAIT);
        Some(Wait { attempt: count.used, limit: count.limit, delay })
    }
}

/// 90 to 110 % of it, so that clients that failed together do not come back together.
fn jittered(delay: Duration) -> Duration {
    // Each `RandomState` has keys of its own: enough chance for this, without a generator of random numbers.
    let chance = RandomState::new().build_hasher().finish() % 201;
    let permille = 900 + u32::try_from(chance).unwrap_or_default();
    delay.saturating_mul(permille) / 1000
}

/// The wait in a `Retry-After` header, or in the more exact `retry-after-ms`. A date there is not read:
/// the usual wait is used then.
pub(crate) fn retry_after(seconds: Option<&str>, milliseconds: Option<&str>) -> Option<Duration> {
    let number = |text: Option<&str>, scale: f64| {
        let value = text?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(value / scale).ok()
    };
    number(milliseconds, 1000.0).or_else(|| number(seconds, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{Budget, Reached, retry_after};
    use crate::error::ProviderError;
    use std::time::Duration;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_and_stay_near_their_value() {
        let mut budget = Budget::new(4, 0, 200 * MS);
        for (attempt, expected) in [(1, 200), (2, 400), (3, 800), (4, 1600)] {
            let wait = budget.spend(&ProviderError::Interrupted, Reached::Request, None).unwrap();
            assert_eq!((wait.attempt, wait.limit), (attempt, 4));
            let (low, high) = (MS * expected * 9 / 10, MS * expected * 11 / 10);
            assert!((low..=high).contains(&wait.delay), "attempt {attempt}: {:?}", wait.delay);
        }
        assert_eq!(
            budget.spend(&ProviderError::Interrupted, Reached::Request, None),
            None,
            "the budget is spent"
        );
    }

    #[test]
    fn requests_and_streams_have_budgets_of_their_own() {
        let mut budget = Budget::new(1, 2, Duration::ZERO);
        let mut spend = |reached| budget.spend(&ProviderError::Interrupted, reached, None).is_some();
        assert_eq!([(); 2].map(|()| spend(Reached::Request)), [true, false]);
        assert_eq!([(); 3].map(|()| spend(Reached::Stream)), [true, true, false]);
    }

    #[test]
    fn what_was_answered_or_cannot_pass_is_not_asked_again() {
        let mut budget = Budget::new(9, 9, MS);
        assert_eq!(budget.spend(&ProviderError::Interrupted, Reached::Answer, None), None);
        let overflow = ProviderError::ContextWindow { message: String::new() };
        assert_eq!(budget.spend(&overflow, Reached::Request, Some(MS)), None);
    }

    #[test]
    fn the_server_may_set_the_wait_up_to_a_minute() {
        let wait = |seconds, milliseconds| {
            let after = retry_after(seconds, milliseconds);
            Budget::new(1, 0, MS).spend(&ProviderError::Interrupted, Reached::Request, after).unwrap().delay
        };
        assert_eq!(wait(Some("2"), None), Duration::from_secs(2));
        assert_eq!(wait(Some(" 1.5 "), None), 1500 * MS);
        assert_eq!(wait(Some("2"), Some("250")), 250 * MS);
        assert_eq!(wait(Some("86400"), None), Duration::from_secs(60));
        for odd in ["Fri, 31 Dec 1999 23:59:59 GMT", "-1", "NaN", "inf", ""] {
            assert!(wait(Some(odd), None) < 2 * MS, "{odd:?} is not a wait");
        }
    }
}
