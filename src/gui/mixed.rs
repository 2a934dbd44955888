//! Text with right-to-left writing on the screen, in the order that [`crate::bidi`] gives it.
//!
//! egui selects text by the order of its letters on the screen, so such a text is not selectable; its menu copies all
//! of it, in the order it was written.

use std::ops::Range;

use eframe::egui::{
    Color32, CursorIcon, OpenUrl, Rect, Response, Role, Sense, Stroke, TextStyle, Ui, WidgetInfo, pos2, vec2,
};

use crate::bidi::{self, Atom};

/// What a part of the text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// The user's name.
    Mention,
    /// A link to itself.
    Link,
}

/// Shows a text that is divided into parts, in at most so many rows, beginning behind what stands in the current row.
pub fn show(ui: &mut Ui, text: &str, parts: &[(Range<usize>, Style)], colour: Color32, rows_max: usize) {
    let font = TextStyle::Body.resolve(ui.style());
    let (cursor, left) = (ui.cursor(), ui.max_rect().left());
    let spans: Vec<Range<usize>> = parts.iter().map(|(range, _)| range.clone()).collect();
    let (first_width, width) = (ui.available_size_before_wrap().x, ui.available_width());
    let galley_of = |text: &str| ui.painter().layout_no_wrap(text.to_owned(), font.clone(), colour);
    let mut rows = bidi::rows(text, &spans, first_width, width, |text, _| galley_of(text).size().x);
    rows.truncate(rows_max);
    let row_height = ui.fonts_mut(|fonts| fonts.row_height(&font));
    let mut whole: Option<Response> = None;
    let mut top = cursor.top();
    let mut placed = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let (x, height) = match index {
            0 => (cursor.left(), row_height.max(cursor.height())),
            _ => (left, row_height),
        };
        let row_width: f32 = row.iter().map(|atom| atom.width).sum();
        let rect = Rect::from_min_size(pos2(x, top), vec2(row_width, height));
        let response = ui.allocate_rect(rect, Sense::click());
        whole = Some(whole.take().map_or(response.clone(), |whole| whole | response));
        top += height;
        placed.push((rect, row));
    }
    let Some(mut response) = whole else { return };
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    for (rect, row) in &placed {
        // The menu opens on links, too.
        for link in show_row(ui, text, parts, *rect, row, colour) {
            response |= link;
        }
    }
    response.context_menu(|ui| {
        if ui.button("Copy").clicked() {
            ui.ctx().copy_text(text.to_owned());
            ui.close();
        }
    });
}

/// Shows a row and returns its links.
fn show_row(
    ui: &Ui,
    text: &str,
    parts: &[(Range<usize>, Style)],
    rect: Rect,
    row: &[Atom],
    colour: Color32,
) -> Vec<Response> {
    let mut links = Vec::new();
    let font = TextStyle::Body.resolve(ui.style());
    let selection = ui.visuals().selection;
    for (index, atom) in row.iter().enumerate() {
        let place =
            Rect::from_min_size(pos2(rect.left() + atom.x, rect.top()), vec2(atom.width, rect.height()));
        let (part, style) = parts.get(atom.span).cloned().unwrap_or((0..0, Style::Plain));
        let colour = match style {
            Style::Plain => colour,
            Style::Mention => selection.stroke.color,
            Style::Link => ui.visuals().hyperlink_color,
        };
        if style == Style::Mention {
            ui.painter().rect_filled(place, 0.0, selection.bg_fill);
        }
        let galley = ui.painter().layout_no_wrap(atom.text.clone(), font.clone(), colour);
        ui.painter().galley(pos2(place.left(), place.center().y - galley.size().y / 2.0), galley, colour);
        if style == Style::Link {
            let link = &text[part];
            let id = ui.scope_id().with((link, rect.top() as i32, index));
            let response = ui.interact(place, id, Sense::click()).on_hover_text(format!("opens {link}"));
            if response.hovered() {
                ui.painter().hline(place.x_range(), place.bottom(), Stroke::new(1.0, colour));
            }
            let response = response.on_hover_cursor(CursorIcon::PointingHand);
            if response.clicked() {
                ui.ctx().open_url(OpenUrl::new_tab(link));
            }
            links.push(response);
        }
    }
    links
}
