use pointstream_conn::OpError;
use pointstream_point::Fault;
use tokio::sync::mpsc;

use crate::driver::{Open, Way, links, lost};
use crate::io::{Link, Observed};

/// How many messages are taken at a time.
const BATCH: usize = 256;

/// Waits for messages and puts them behind what is in `batch`.
///
/// # Errors
///
/// The connection is not the one that was opened. What came by it has been taken by then.
///
/// # Cancel safety
///
/// Safe: nothing is taken by a call that is dropped.
pub(super) async fn receive(
    way: &mut Option<Way>,
    session: &mut Option<Open>,
    batch: &mut Vec<Observed>,
) -> Result<(), OpError> {
    let (Some(inbox), Some(open)) = (inbox(way), session) else {
        return Err(lost(&"there is no session"));
    };
    let Open { link, number, .. } = open;
    let number = *number;
    let fault = {
        let gone = link.wait_for(|link| !matches!(link, Link::Up(it, _) if *it == number));
        tokio::select! {
            biased;
            count = inbox.recv_many(batch, BATCH) => return match count {
                0 => Err(lost(&"the client has ended")),
                _ => Ok(()),
            },
            link = gone => link.map_or_else(|_| lost(&"the client has ended"), |link| fault(&link)),
        }
    };
    // Whatever the connection brought was handed over before it was said to be lost.
    match take(inbox, batch) {
        0 => Err(fault),
        _ => Ok(()),
    }
}

/// Takes what is there without waiting.
pub(super) fn receive_ready(
    way: &mut Option<Way>,
    session: &Option<Open>,
    batch: &mut Vec<Observed>,
) -> Result<(), OpError> {
    let (Some(inbox), Some(open)) = (inbox(way), session) else {
        return Err(lost(&"there is no session"));
    };
    take(inbox, batch);
    match &*open.link.borrow() {
        Link::Up(number, _) if *number == open.number => Ok(()),
        link => Err(fault(link)),
    }
}

fn inbox(way: &mut Option<Way>) -> Option<&mut mpsc::Receiver<Observed>> {
    way.as_mut()?.inbox.as_mut()
}

fn take(inbox: &mut mpsc::Receiver<Observed>, batch: &mut Vec<Observed>) -> usize {
    let len = batch.len();
    while batch.len() < BATCH
        && let Ok(item) = inbox.try_recv()
    {
        batch.push(item);
    }
    batch.len() - len
}

fn fault(link: &Link) -> OpError {
    match link {
        Link::Down(error) => links::fault_of(error),
        _ => OpError::Session(Fault::down("the connection was lost")),
    }
}
