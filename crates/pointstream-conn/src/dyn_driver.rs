//! The object-safe twin of [`Driver`], so that connectors of all kinds run by the same code.

use core::future::Future;
use core::pin::Pin;

use pointstream_point::{LearnPath, LearnRow, PointKey, Span, Tags};

use crate::driver::{Binding, Driver, Features, OpError, Request, Write};
use crate::readings::Readings;
use crate::samples::Samples;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) trait DynDriver: Send {
    fn features(&self) -> Features;
    fn open<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<(), OpError>>;
    fn close(&mut self) -> BoxFuture<'_, ()>;
    fn ping<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<Tags, OpError>>;
    fn bind(&mut self, points: &[Binding], into: &mut Readings);
    fn unbind(&mut self, points: &[PointKey]);
    fn plan(&self, points: &[PointKey]) -> Vec<Request>;
    fn read<'a>(
        &'a mut self,
        requests: &'a [Request],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>>;
    fn poll<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<(), OpError>>;
    fn write<'a>(
        &'a mut self,
        writes: &'a [Write],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>>;
    fn watch<'a>(
        &'a mut self,
        points: &'a [PointKey],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>>;
    fn unwatch<'a>(
        &'a mut self,
        points: &'a [PointKey],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>>;
    fn learn<'a>(
        &'a mut self,
        at: Option<&'a LearnPath>,
    ) -> BoxFuture<'a, Result<Vec<LearnRow>, OpError>>;
    fn history<'a>(
        &'a mut self,
        point: PointKey,
        span: Span,
        into: &'a mut Samples,
    ) -> BoxFuture<'a, Result<(), OpError>>;
    fn event<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<(), OpError>>;
}

impl<D: Driver> DynDriver for D {
    fn features(&self) -> Features {
        Driver::features(self)
    }

    fn open<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::open(self, into))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Driver::close(self))
    }

    fn ping<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<Tags, OpError>> {
        Box::pin(Driver::ping(self, into))
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        Driver::bind(self, points, into);
    }

    fn unbind(&mut self, points: &[PointKey]) {
        Driver::unbind(self, points);
    }

    fn plan(&self, points: &[PointKey]) -> Vec<Request> {
        Driver::plan(self, points)
    }

    fn read<'a>(
        &'a mut self,
        requests: &'a [Request],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::read(self, requests, into))
    }

    fn poll<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::poll(self, into))
    }

    fn write<'a>(
        &'a mut self,
        writes: &'a [Write],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::write(self, writes, into))
    }

    fn watch<'a>(
        &'a mut self,
        points: &'a [PointKey],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::watch(self, points, into))
    }

    fn unwatch<'a>(
        &'a mut self,
        points: &'a [PointKey],
        into: &'a mut Readings,
    ) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::unwatch(self, points, into))
    }

    fn learn<'a>(
        &'a mut self,
        at: Option<&'a LearnPath>,
    ) -> BoxFuture<'a, Result<Vec<LearnRow>, OpError>> {
        Box::pin(Driver::learn(self, at))
    }

    fn history<'a>(
        &'a mut self,
        point: PointKey,
        span: Span,
        into: &'a mut Samples,
    ) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::history(self, point, span, into))
    }

    fn event<'a>(&'a mut self, into: &'a mut Readings) -> BoxFuture<'a, Result<(), OpError>> {
        Box::pin(Driver::event(self, into))
    }
}
