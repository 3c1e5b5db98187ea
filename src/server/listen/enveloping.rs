//! What goes to a client, with what hyper answers by itself put into the envelope ([`refusal`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal;

pub(super) struct Enveloping<S> {
    stream: S,
    is_encrypted: bool,
    /// Our answer in place of hyper's, and how much of it is sent.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S: AsyncWrite + Unpin> Enveloping<S> {
    pub(super) fn new(stream: S, is_encrypted: bool) -> Self {
        Self { stream, is_encrypted, refusal: None }
    }

    fn send_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((text, sent)) = self.refusal.take() {
            if sent == text.len() {
                break;
            }
            let polled = Pin::new(&mut self.stream).poll_write(context, &text[sent..]);
            let more = if let Poll::Ready(Ok(count)) = &polled { *count } else { 0 };
            self.refusal = Some((text, sent + more));
            ready!(polled)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Enveloping<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Enveloping<S> {
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
            && let Some(refusal) = refusal::in_place_of(head, self.is_encrypted)
        {
            self.refusal = Some((refusal, 0));
            return Poll::Ready(Ok(head.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
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
