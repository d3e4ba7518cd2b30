//! Draws the model. Whatever others wrote has passed [`render::line`] or [`render::text`] before it comes here,
//! and is cut to what fits.

use super::chats::{Chat, Entry, Kind};
use super::model::{Link, Model};
use super::wrap::{columns_of, cut, wrap};
use crate::commands::HELP;
use crate::render;
use chatwire_client::{Content, Message};
use chrono::DateTime;
use chrono_tz::Tz;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};
use std::time::Instant;

/// Columns of the list of chats, and of a window that has room for it.
const LIST: u16 = 22;
const WIDE: u16 = 60;

const DIM: Style = Style::new().fg(Color::DarkGray);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

const KEYS: &str = "
  Tab, Shift-Tab      the next chat, the one before
  PageUp, PageDown    scroll; at the top older messages come
  Ctrl-U, Ctrl-W      take the line, a word away
  F1, Esc             this page, and back
  Ctrl-C              leave";

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &mut Model, zone: Tz, now: Instant) {
    let area = frame.area();
    let transfers = u16::try_from(model.transfers.len().min(4)).unwrap_or(0);
    let rows =
        [Constraint::Min(1), Constraint::Length(transfers), Constraint::Length(1), Constraint::Length(1)];
    let [main, bars, status, input] = Layout::vertical(rows).areas(area);
    let chat = if area.width >= WIDE {
        let [list, chat] = Layout::horizontal([Constraint::Length(LIST), Constraint::Min(1)]).areas(main);
        draw_list(frame, model, list);
        chat
    } else {
        main
    };
    draw_chat(frame, model, chat, zone, now);
    draw_transfers(frame, model, bars);
    frame.render_widget(Paragraph::new(status_line(model, status.width, now)), status);
    draw_input(frame, model, input);
    if model.help {
        draw_help(frame, area);
    }
}

fn draw_list(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let block = Block::new().borders(Borders::RIGHT).border_style(DIM);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let at = model.chats.iter().position(|chat| chat.chat == model.current).unwrap_or(0);
    // The current chat is always seen.
    let first = (at + 1).saturating_sub(inner.height.into());
    let lines: Vec<Line<'_>> = model.chats[first..]
        .iter()
        .take(inner.height.into())
        .map(|chat| list_line(model, chat, inner.width.into()))
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn list_line(model: &Model, chat: &Chat, width: usize) -> Line<'static> {
    let unread = if chat.unread > 0 { format!(" {}", chat.unread) } else { String::new() };
    let sign = match chat.kind {
        Kind::Home => "⌂ ",
        Kind::Room => "# ",
        Kind::Group => "& ",
        Kind::Direct => match model.presence(&chat.title) {
            Some(1) => "● ",
            Some(2) => "◐ ",
            _ => "○ ",
        },
    };
    let room = width.saturating_sub(columns_of(sign) + columns_of(&unread));
    let title = cut(&render::line(&chat.title), room);
    let gap = " ".repeat(room.saturating_sub(columns_of(&title)));
    let style = match (chat.chat == model.current, chat.unread > 0) {
        (true, _) => Style::new().add_modifier(Modifier::REVERSED),
        (false, true) => BOLD,
        (false, false) => Style::new(),
    };
    Line::styled(format!("{sign}{title}{gap}{unread}"), style)
}

fn draw_chat(frame: &mut Frame<'_>, model: &mut Model, area: Rect, zone: Tz, now: Instant) {
    let [title, body, typing] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    let me = model.me.as_ref().map_or(0, |me| me.user);
    let (height, width) = (usize::from(body.height), usize::from(body.width));
    let numbers = model.numbers;
    let Some(chat) = model.here() else { return };
    let name = cut(&render::line(&chat.title), width.saturating_sub(12));
    let scrolled = if chat.scroll > 0 { "  ↓ there is more" } else { "" };
    frame.render_widget(Paragraph::new(Line::styled(format!("{name}{scrolled}"), BOLD)), title);

    // From the end upwards, as far as is seen.
    let mut rows: Vec<Line<'_>> = Vec::new();
    let wanted = height + chat.scroll;
    for entry in chat.entries.iter().rev() {
        if rows.len() >= wanted {
            break;
        }
        rows.extend(entry_rows(entry, me, zone, width, numbers).into_iter().rev());
    }
    let is_top = rows.len() < wanted;
    chat.scroll = chat.scroll.min(rows.len().saturating_sub(height));
    let seen: Vec<Line<'_>> = rows.into_iter().skip(chat.scroll).take(height).rev().collect();
    let top = body.height.saturating_sub(u16::try_from(seen.len()).unwrap_or(body.height));
    let below = Rect { y: body.y + top, height: body.height - top, ..body };
    frame.render_widget(Paragraph::new(seen), below);
    let writers = chat.writers(now);
    if !writers.is_empty() {
        let is = if writers.len() == 1 { "is" } else { "are" };
        let text = cut(&format!("{} {is} writing …", writers.join(", ")), width);
        frame.render_widget(Paragraph::new(Line::styled(text, DIM)), typing);
    }
    if is_top {
        model.at_top();
    }
}

/// An entry in rows of this width.
fn entry_rows(entry: &Entry, me: u64, zone: Tz, width: usize, has_numbers: bool) -> Vec<Line<'static>> {
    match entry {
        Entry::Said(message, numbers) => {
            let at = DateTime::from_timestamp_micros(message.at).unwrap_or_default().with_timezone(&zone);
            let is_mine = message.user == me;
            let who = if is_mine { "you".to_owned() } else { render::line(&message.user_name) };
            let colour = if is_mine { Color::Green } else { colour_of(message.user) };
            let number = if has_numbers { format!("#{} ", message.seq) } else { String::new() };
            let time = format!("{number}{} ", at.format("%H:%M"));
            rows(&time, &cut(&who, 20), Style::new().fg(colour), &said(message, numbers), Style::new(), width)
        }
        Entry::Unsent { text, .. } => {
            let style = Style::new().fg(Color::Green);
            rows("  …   ", "you", style, &render::lines(text), DIM, width)
        }
        Entry::Note(text) => rows("      ", "", DIM, &format!("* {}", render::lines(text)), DIM, width),
    }
}

fn rows(time: &str, who: &str, style: Style, text: &str, body: Style, width: usize) -> Vec<Line<'static>> {
    let colon = if who.is_empty() { "" } else { ": " };
    let indent = columns_of(time);
    let head = columns_of(who) + columns_of(colon);
    // Blanks stand for the name, so that the first row is cut where it has to be.
    let filled = format!("{}{text}", "\u{a0}".repeat(head));
    let mut cut = wrap(&filled, width.saturating_sub(indent)).into_iter();
    let first = cut.next().unwrap_or_default();
    let first: String = first.chars().skip(head).collect();
    let mut lines = vec![Line::from(vec![
        Span::styled(time.to_owned(), DIM),
        Span::styled(who.to_owned(), style),
        Span::styled(colon, style),
        Span::styled(first, body),
    ])];
    lines.extend(cut.map(|row| Line::from(Span::styled(format!("{}{row}", " ".repeat(indent)), body))));
    lines
}

/// What a message says, safe to be shown.
fn said(message: &Message, numbers: &[usize]) -> String {
    let media = super::chats::media_of(message);
    let mut labels = media.iter().zip(numbers).map(|(media, number)| render::label(media, *number));
    match &message.content {
        Content::Text(text) => render::lines(text),
        Content::Media(_) => labels.next().unwrap_or_default(),
        Content::Reply(reply) => {
            std::iter::once(render::lines(&reply.text)).chain(labels).collect::<Vec<_>>().join("\n")
        }
        Content::Gone => "(removed)".to_owned(),
        _ => "(something that this program cannot show)".to_owned(),
    }
}

fn colour_of(user: u64) -> Color {
    const COLOURS: [Color; 5] =
        [Color::Cyan, Color::Yellow, Color::Magenta, Color::LightBlue, Color::LightRed];
    COLOURS[usize::try_from(user % 5).unwrap_or(0)]
}

fn draw_transfers(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let width = usize::from(area.width);
    let lines: Vec<Line<'_>> = model
        .transfers
        .iter()
        .take(area.height.into())
        .map(|transfer| {
            let share = |of: u64| of * transfer.done / transfer.all.max(1);
            let bar = usize::try_from(share(20)).unwrap_or(0).min(20);
            let bar = format!("[{}{}]", "█".repeat(bar), " ".repeat(20 - bar));
            let sizes = format!("{}% of {}", share(100), render::size(transfer.all));
            Line::raw(cut(&format!("{bar} {sizes}  {}", transfer.label), width))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn status_line(model: &Model, width: u16, now: Instant) -> Line<'static> {
    let (text, colour) = match &model.link {
        Link::Connecting(address) => (format!("connecting to {address} …"), Color::Yellow),
        Link::Online => {
            let name = model.me.as_ref().map(|me| render::line(&me.user_name)).unwrap_or_default();
            (format!("online as {name}"), Color::Green)
        }
        Link::Waiting { until, why } => {
            let seconds = until.saturating_duration_since(now).as_secs_f32().ceil();
            (format!("reconnecting in {seconds} s: {why}"), Color::Yellow)
        }
        Link::Failed(why) => (format!("not connected, and not trying: {why}"), Color::Red),
    };
    let hint = "F1 help ";
    let room = usize::from(width).saturating_sub(columns_of(hint) + 1);
    let text = cut(&format!(" {text}"), room);
    let gap = " ".repeat(usize::from(width).saturating_sub(columns_of(&text) + columns_of(hint)));
    Line::styled(format!("{text}{gap}{hint}"), Style::new().fg(Color::Black).bg(colour))
}

fn draw_input(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    const PROMPT: &str = "> ";
    let room = usize::from(area.width).saturating_sub(PROMPT.len());
    let (text, column) = model.editor.seen(room);
    frame.render_widget(Paragraph::new(Line::raw(format!("{PROMPT}{text}"))), area);
    let column = u16::try_from(column + PROMPT.len()).unwrap_or(area.width);
    let column = column.min(area.width.saturating_sub(1));
    frame.set_cursor_position(Position::new(area.x + column, area.y));
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let text = format!("{HELP}\n{KEYS}");
    let width = area.width.saturating_sub(2).min(78);
    let rows = wrap(&text, usize::from(width).saturating_sub(4));
    let height = u16::try_from(rows.len() + 2).unwrap_or(area.height).min(area.height);
    let area =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, area);
    let lines: Vec<Line<'_>> = rows.into_iter().map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" help ")), area);
}
