//! How the screen looks. Pure: the model and the time in, a frame of the terminal out.

mod list;
mod over;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::model::{Link, List, Model, Over};
use crate::api::state::Health;
use crate::cli::printer::short;
use crate::cli::progress::Mood;
use crate::model::time::Timestamp;

/// Below this nothing can be read.
const LEAST: (u16, u16) = (40, 8);

/// What is there for whoever looks for it.
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Which colours there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// Whether there are any.
    pub(super) has_colour: bool,
}

impl Theme {
    fn colour(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn of(self, mood: Mood) -> Style {
        match mood {
            Mood::Waiting => DIM,
            Mood::Going => self.colour(Color::Cyan),
            Mood::Good => self.colour(Color::Green),
            Mood::Undoing | Mood::Undone => self.colour(Color::Yellow),
            Mood::Bad => self.colour(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    fn bad(self) -> Style {
        self.of(Mood::Bad)
    }

    fn warning(self) -> Style {
        self.colour(Color::Yellow)
    }
}

/// How many lines the list, or a log, has room for on a terminal of this height.
pub(super) fn page(height: u16, over: Option<&Over>) -> usize {
    // Head, figures, the list's header, detail and keys; a log has its title and the keys.
    let other = if matches!(over, Some(Over::Log(_))) { 2 } else { 7 };
    usize::from(height.saturating_sub(other)).max(1)
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme, now: Timestamp) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {}x{} at least", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    if let Some(Over::Log(log)) = &model.over {
        over::log(frame, log, model.link, theme);
        return;
    }
    let parts = [1, 1, 1].map(Constraint::Length).into_iter();
    let parts = parts.chain([Constraint::Min(1)]).chain([3, 1].map(Constraint::Length));
    let [head, figures, header, rows, detail, foot] = Layout::vertical(parts).areas(area);
    frame.render_widget(title(model, theme, head.width), head);
    frame.render_widget(self::figures(model, theme), figures);
    list::draw(frame, model, theme, now, [header, rows, detail]);
    frame.render_widget(footer(model, theme), foot);
    match &model.over {
        Some(Over::Help) => over::help(frame, area),
        Some(Over::Cancel(id, name)) => over::cancel(frame, area, id, name, theme),
        Some(Over::Log(_)) | None => {}
    }
}

/// Where it looks, and whether what it shows is of now.
fn title(model: &Model, theme: Theme, width: u16) -> Line<'static> {
    let (link, style) = link(model.link, theme);
    let left = format!(" prov top  {}", model.server);
    let room = usize::from(width).saturating_sub(left.chars().count() + link.chars().count() + 1);
    Line::from(vec![
        Span::styled(left, Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(" ".repeat(room)),
        Span::styled(link, style),
    ])
}

fn link(link: Link, theme: Theme) -> (&'static str, Style) {
    match link {
        Link::Live => ("live", theme.of(Mood::Good)),
        Link::Asking => ("asking", DIM),
        Link::Away => ("the daemon is away; waiting", theme.bad()),
    }
}

/// Queue, outcomes and the machine; and what is not well.
fn figures(model: &Model, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    if let Some(health) = &model.health {
        let style = match health.overall_status {
            Health::Healthy => theme.of(Mood::Good),
            Health::Unknown => DIM,
            Health::Degraded => theme.warning(),
            Health::Unhealthy => theme.bad(),
        };
        spans.push(Span::styled(health.overall_status.as_str(), style));
        let worst = health.components.iter().max_by_key(|(_, part)| part.status);
        let ill = worst.filter(|(_, part)| part.status > Health::Healthy);
        spans.extend(ill.map(|(name, _)| Span::styled(format!(" ({name})"), style)));
        spans.push(Span::raw("  "));
    }
    let Some(metrics) = &model.metrics else {
        return Line::from(spans);
    };
    let failed = if metrics.failed_tasks > 0 { theme.bad() } else { Style::new() };
    let running = if metrics.running_tasks > 0 { theme.of(Mood::Going) } else { Style::new() };
    spans.push(Span::styled(format!("{} running", metrics.running_tasks), running));
    spans.push(Span::raw(format!("  {} queued  {} done  ", metrics.queued_tasks, metrics.completed_tasks)));
    spans.push(Span::styled(format!("{} failed", metrics.failed_tasks), failed));
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    spans.push(Span::styled(
        format!(
            "  cpu {} mem {} disk {}  up {}",
            percent(metrics.cpu_usage),
            percent(metrics.memory_usage),
            percent(metrics.disk_usage),
            short(std::time::Duration::from_secs(metrics.uptime_seconds))
        ),
        DIM,
    ));
    Line::from(spans)
}

/// What is being typed, what was told, or which keys there are.
fn footer(model: &Model, theme: Theme) -> Line<'static> {
    if model.is_typing {
        return Line::from(format!(" /{}▏  Enter keeps it, Esc clears it", model.filter));
    }
    if !model.told.is_empty() {
        return Line::styled(format!(" {}", model.told), theme.warning());
    }
    let way = if model.list == List::Operations { "Esc back" } else { "Tab list" };
    let keys = format!(" {way}  l log  c cancel  r retry  / filter  s status  ? help  q quit");
    Line::styled(keys, DIM)
}

/// A part of the screen in the middle of it.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
