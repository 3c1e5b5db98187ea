//! The bytes of a connection: notes when one moves, gives up on a client that takes nothing, and puts into the envelope
//! what hyper answers by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::connections::Activity;
use super::refusal;

/// How long a client may take nothing of what waits for it.
const STALL: Duration = Duration::from_secs(30);

pub(super) struct Wire {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Our answer in place of hyper's, and how much of it is sent.
    refusal: Option<(Vec<u8>, usize)>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, stalled: None, refusal: None }
    }

    fn send(&mut self, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, buffers) {
            Poll::Ready(done) => {
                self.stalled = None;
                self.activity.moved();
                Poll::Ready(done)
            }
            Poll::Pending => {
                let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
                ready!(stalled.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
            }
        }
    }

    fn send_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((text, sent)) = self.refusal.take() {
            if sent == text.len() {
                break;
            }
            let polled = self.send(context, &[io::IoSlice::new(&text[sent..])]);
            let more = if let Poll::Ready(Ok(count)) = &polled { *count } else { 0 };
            self.refusal = Some((text, sent + more));
            ready!(polled)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.moved();
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.send_refusal(context))?;
        let mut parts = buffers.iter().filter(|part| !part.is_empty());
        if let (Some(head), None) = (parts.next(), parts.next())
            && let Some(refusal) = refusal::in_place_of(head)
        {
            self.refusal = Some((refusal, 0));
            return Poll::Ready(Ok(head.len()));
        }
        self.send(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_refusal(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send_refusal(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
