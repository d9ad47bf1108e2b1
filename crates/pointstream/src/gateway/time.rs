//! What happens in a gateway by time alone: leases that run out, levels that are released, the
//! steady state, what ends in the hub.

use core::time::Duration;
use std::sync::Arc;

use pointstream_time::Instant;

use super::shared::Shared;

/// The longest sleep, so that a deadline beyond what a timer holds is none.
const SLEEP_MAX: Duration = Duration::from_secs(60 * 60);

/// Does what is due, for ever.
pub(super) async fn keep_time(shared: Arc<Shared>) {
    loop {
        let moved = shared.hub.timeout_moved();
        let next = next(&shared).map_or(SLEEP_MAX, |at| at.since(shared.clock.now().at));
        tokio::select! {
            () = tokio::time::sleep(next.min(SLEEP_MAX)) => {}
            () = shared.changed_times.notified() => {}
            () = moved => {}
        }
        shared.hub.handle_timeout();
        let now = shared.clock.now().at;
        shared.end_leases(now).await;
        shared.release_levels(now).await;
        if shared.become_steady(now) {
            let keys: Vec<_> = shared.lock().points.iter_after(None).map(|(key, _)| key).collect();
            shared.write_first(&keys).await;
        }
    }
}

fn next(shared: &Shared) -> Option<Instant> {
    let state = shared.lock();
    let steady = (!state.steady).then_some(state.steady_at).flatten();
    let hub = shared.hub.poll_timeout();
    let times = [state.watches.poll_timeout(), state.arrays.poll_timeout(), steady, hub];
    times.into_iter().flatten().min()
}
