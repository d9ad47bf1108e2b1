use std::time::Duration;

use pointstream_hub::Hub;

/// Tells a hub the time whenever something in it is due, for ever: documents and items end, and
/// views with a rate go on. [`Server::run`](crate::Server::run) does it by itself.
///
/// *Cancel safety*: dropping the future loses nothing; another one takes over.
pub async fn keep_time(hub: Hub) {
    loop {
        let moved = hub.timeout_moved();
        let wait = hub.poll_timeout().map_or(LONG, |at| at.since(hub.now()));
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep(wait.clamp(SHORT, LONG)) => hub.handle_timeout(),
        }
    }
}

/// The shortest wait: deadlines that are nearer come together.
const SHORT: Duration = Duration::from_millis(1);

/// The longest wait, where nothing is due.
const LONG: Duration = Duration::from_secs(3_600);
