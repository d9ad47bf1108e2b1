//! Synchronisations of many histories: each is a job that runs on its own, is looked at, followed
//! and cancelled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use pointstream_point::{Id, Span};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::follow::{Followed, Look};
use crate::{Admin, BoxFuture, ConnError, clock};

/// How many jobs run at a time. One that comes beyond is refused.
pub(crate) const RUNNING_MAX: usize = 4;

/// How many jobs that have ended are kept to be looked at, the last ones.
const ENDED_MAX: usize = 16;

/// How many points one job may have.
pub(crate) const POINTS_MAX: usize = 100_000;

/// How many results one answer has.
const RESULTS_MAX: usize = 1_000;

/// The jobs that run, and the last ones that did.
#[derive(Debug, Default)]
pub(crate) struct Syncs(Mutex<Jobs>);

#[derive(Debug, Default)]
struct Jobs {
    last: u64,
    jobs: BTreeMap<u64, Arc<Job>>,
    /// What runs, which ends with whoever owns this.
    tasks: JoinSet<()>,
}

impl Syncs {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a job; none if as many run as may.
    pub(crate) fn start(
        &self,
        admin: &dyn Admin,
        points: Vec<Id>,
        span: Option<Span>,
    ) -> Option<Arc<Job>> {
        let mut jobs = self.lock();
        while jobs.tasks.try_join_next().is_some() {}
        if jobs.jobs.values().filter(|job| job.is_running()).count() >= RUNNING_MAX {
            return None;
        }
        jobs.last += 1;
        let job = Arc::new(Job::new(jobs.last, points.len()));
        jobs.jobs.insert(job.id, Arc::clone(&job));
        let ended = jobs.jobs.values().filter(|job| !job.is_running()).map(|job| job.id);
        let ended: Vec<u64> = ended.collect();
        for id in ended.iter().take(ended.len().saturating_sub(ENDED_MAX)) {
            jobs.jobs.remove(id);
        }
        let told = Arc::clone(&job);
        let work =
            admin.sync_many(points, span, Arc::new(move |id, result| told.on_done(id, result)));
        let running = Running(Arc::clone(&job));
        jobs.tasks.spawn(async move {
            tokio::select! {
                () = work => running.0.end(State::Done),
                () = running.0.cancel.notified() => running.0.end(State::Cancelled),
            }
        });
        Some(job)
    }

    /// The job of this number.
    pub(crate) fn job(&self, id: u64) -> Option<Arc<Job>> {
        self.lock().jobs.get(&id).cloned()
    }

    /// All that are known, the first one first, without their results.
    pub(crate) fn views(&self) -> Vec<SyncView> {
        self.lock().jobs.values().map(|job| job.view(usize::MAX)).collect()
    }

    /// Cancels whatever runs.
    pub(crate) fn cancel(&self) {
        self.lock().jobs.values().for_each(|job| job.cancel());
    }
}

/// One job.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    total: usize,
    started: Timestamp,
    cancel: Notify,
    progress: Mutex<Progress>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Progress {
    state: State,
    failed: usize,
    items: u64,
    ended: Option<Timestamp>,
    results: Vec<SyncRow>,
}

/// What has become of a job.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    /// It runs.
    #[default]
    Running,
    /// Each point has had its turn.
    Done,
    /// Somebody cancelled it; what was fetched until then stays.
    Cancelled,
    /// It ended by a defect; what was fetched until then stays.
    Broken,
}

/// A job as clients see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SyncView {
    id: String,
    state: State,
    total: usize,
    done: usize,
    failed: usize,
    items: u64,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// The number to ask from next time.
    next: usize,
    results: Vec<SyncRow>,
}

impl SyncView {
    pub(crate) fn is_over(&self) -> bool {
        self.state != State::Running && self.next >= self.done
    }
}

/// What the synchronisation of one point came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SyncRow {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    num: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<String>,
}

impl Job {
    fn new(id: u64, total: usize) -> Self {
        let (cancel, changed) = (Notify::new(), Notify::new());
        Self { id, total, started: clock::wall(), cancel, progress: Mutex::default(), changed }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        self.lock().state == State::Running
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn cancel(&self) {
        self.cancel.notify_one();
    }

    fn on_done(&self, id: Id, result: Result<usize, ConnError>) {
        let mut progress = self.lock();
        if progress.state != State::Running {
            return;
        }
        let (num, err) = match result {
            Ok(num) => (Some(num), None),
            Err(error) => (None, Some(error.to_string())),
        };
        progress.items += num.unwrap_or(0) as u64;
        progress.failed += usize::from(err.is_some());
        progress.results.push(SyncRow { id, num, err });
        drop(progress);
        self.changed.notify_waiters();
    }

    fn end(&self, state: State) {
        let mut progress = self.lock();
        if progress.state == State::Running {
            (progress.state, progress.ended) = (state, Some(clock::wall()));
        }
        drop(progress);
        self.changed.notify_waiters();
    }

    /// How far it has come, with the results from the number `since` on.
    pub(crate) fn view(&self, since: usize) -> SyncView {
        let progress = self.lock();
        let done = progress.results.len();
        let results = progress.results.get(since..).unwrap_or_default();
        let results: Vec<_> = results.iter().take(RESULTS_MAX).cloned().collect();
        let text = |ts: Timestamp| format!("{ts:.3}");
        SyncView {
            id: self.id.to_string(),
            state: progress.state,
            total: self.total,
            done,
            failed: progress.failed,
            items: progress.items,
            started: text(self.started),
            ended: progress.ended.map(text),
            next: since.min(done) + results.len(),
            results,
        }
    }
}

impl Followed for Job {
    fn look(&self, seq: u64, first: bool) -> Look {
        let since = usize::try_from(seq).unwrap_or(usize::MAX);
        let view = self.view(since);
        let (next, over) = (view.next as u64, view.is_over());
        if view.results.is_empty() && !first && !over {
            return Look { next, event: None, over };
        }
        // A flat struct of strings and numbers cannot fail.
        let json = serde_json::to_string(&view).unwrap_or_default();
        let event = format!("id: {next}\nevent: sync\ndata: {json}\n\n");
        Look { next, event: Some(event.into()), over }
    }

    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let news = {
                let progress = self.lock();
                progress.state != State::Running || progress.results.len() as u64 > seq
            };
            if !news {
                changed.await;
            }
        })
    }
}

/// Held by the task of a job. What drops it unfinished has broken the job.
struct Running(Arc<Job>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end(State::Broken);
    }
}
