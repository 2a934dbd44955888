//! A long list of which only what is visible is laid out, below a head that says what comes before it.
//!
//! ```text
//!  head | heights  19 | 38 | ~19 | ~57 | …       measured once it was visible, estimated before
//!       |          ^ offset: the first visible pixel, held where it is whatever is learned of what is above
//! ```
//!
//! A list that shows its end follows it; one that was scrolled up stays where it is, whatever is added.

use std::collections::VecDeque;

use eframe::egui::{AsIdSalt, Rect, ScrollArea, Ui, UiBuilder, Vec2, pos2, vec2};

/// So near to an end counts as there, in points.
const NEAR: f32 = 4.0;
/// How high the head is, in points.
const HEAD: f32 = 34.0;
/// What a page is of what is seen.
const PAGE: f32 = 0.9;

/// The heights of a list's items, and what of them is seen.
#[derive(Default)]
pub struct Timeline {
    /// Older ones come in at the front.
    heights: VecDeque<f32>,
    /// Where each item begins; one more than there are, the last is the whole height.
    tops: Vec<f32>,
    /// They are to be summed up again.
    is_stale: bool,
    /// Of what the heights were measured at.
    width: f32,
    offset: f32,
    /// The first item that was seen.
    first: usize,
    /// Whether it was scrolled away from the end.
    is_held: bool,
    /// To be scrolled by so many pages, down.
    pages: f32,
    /// Items laid out when it was last shown.
    pub laid_out: usize,
}

/// What is seen of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last item is.
    pub end: bool,
    /// The first item is, or nearly.
    pub beginning: bool,
}

impl Timeline {
    /// How wide the items are; 0 where they were never shown.
    pub fn width(&self) -> f32 {
        self.width
    }

    /// One more item at this place, about so high.
    pub fn insert(&mut self, index: usize, height: f32) {
        if self.is_held && index <= self.first {
            self.offset += height;
            self.first += 1;
        }
        if index == self.heights.len() && !self.is_stale {
            let end = self.tops.last().copied().unwrap_or(HEAD);
            if self.tops.is_empty() {
                self.tops.push(end);
            }
            self.tops.push(end + height);
        } else {
            self.is_stale = true;
        }
        self.heights.insert(index, height);
    }

    /// Follows the end again.
    pub fn follow(&mut self) {
        self.is_held = false;
    }

    /// Whether the end is followed.
    pub fn follows(&self) -> bool {
        !self.is_held
    }

    /// Scrolls by so many pages, down, the next time that it is shown.
    pub fn scroll(&mut self, pages: f32) {
        self.pages = pages;
    }

    fn sum(&mut self) {
        let mut top = HEAD;
        self.tops.clear();
        self.tops.push(top);
        self.tops.extend(self.heights.iter().map(|height| {
            top += height;
            top
        }));
        self.is_stale = false;
    }

    /// Shows what there is room for. `estimate` is asked for all heights when the width changes; `draw` lays an item
    /// out at the top of the given space, or the head where there is none.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        id: impl AsIdSalt,
        estimate: impl Fn(usize, f32) -> f32,
        mut draw: impl FnMut(&mut Ui, Option<usize>),
    ) -> Seen {
        let (width, height) = (ui.available_width(), ui.available_height());
        if self.is_stale || self.tops.is_empty() {
            self.sum();
        }
        if (width - self.width).abs() > 0.5 {
            self.resize(width, estimate);
        }
        let total = self.tops[self.heights.len()];
        let end = (total - height).max(0.0);
        if !self.is_held || self.offset > end {
            self.offset = end;
        }
        let pages = std::mem::take(&mut self.pages);
        if pages != 0.0 {
            self.offset = (self.offset + pages * PAGE * height).clamp(0.0, end);
            self.is_held = self.offset < end - NEAR;
        }
        // Where it grew just now, the area does not go beyond what it was before: that is nobody's scrolling.
        let is_moved =
            ui.input(|input| input.smooth_scroll_delta() != Vec2::ZERO || input.pointer.any_down());
        let mut measured: Vec<(usize, f32)> = Vec::new();
        let area = ScrollArea::vertical().id_salt(id).auto_shrink(false);
        let shown = area.vertical_scroll_offset(self.offset).show_viewport(ui, |ui, viewport| {
            let (left, top) = (ui.max_rect().left(), ui.max_rect().top());
            ui.set_width(ui.available_width());
            ui.set_height(total.max(height));
            // Few items stand at the bottom, where the newest always is.
            let push = (height - total).max(0.0);
            if viewport.min.y < HEAD {
                let rect = Rect::from_min_size(pos2(left, top), vec2(ui.available_width(), HEAD));
                ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| draw(ui, None));
            }
            self.first = self.tops.partition_point(|&it| it + push <= viewport.min.y).saturating_sub(1);
            for index in self.first..self.heights.len() {
                let item_top = self.tops[index] + push;
                if item_top >= viewport.max.y {
                    break;
                }
                let size = vec2(ui.available_width(), self.heights[index]);
                let rect = Rect::from_min_size(pos2(left, top + item_top), size);
                let drawn = ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| draw(ui, Some(index)));
                measured.push((index, drawn.response.rect.height()));
            }
        });
        self.laid_out = measured.len();
        let offset = shown.state.clamped_offset().y;
        if is_moved {
            self.is_held = offset < end - NEAR;
            self.offset = offset;
        } else if (offset - self.offset).abs() > NEAR {
            ui.ctx().request_repaint();
        }
        // Who goes a page up goes on reading at the bottom.
        self.learn(ui, &measured, if pages < 0.0 { self.offset + height } else { self.offset });
        Seen { end: !self.is_held, beginning: offset < height }
    }

    /// Takes over the heights that were measured, without moving what is seen at `fixed`.
    fn learn(&mut self, ui: &Ui, measured: &[(usize, f32)], fixed: f32) {
        let mut changed = false;
        for &(index, height) in measured {
            let more = height - self.heights[index];
            if more.abs() > 0.5 {
                if self.is_held && self.tops[index] < fixed {
                    self.offset += more;
                }
                self.heights[index] = height;
                changed = true;
            }
        }
        if changed {
            self.sum();
            ui.ctx().request_discard("heights were only estimated");
            ui.ctx().request_repaint();
        }
    }

    fn resize(&mut self, width: f32, estimate: impl Fn(usize, f32) -> f32) {
        // What is at the top stays there.
        let first = self.first.min(self.heights.len());
        let within = self.offset - self.tops[first];
        self.width = width;
        for (index, height) in self.heights.iter_mut().enumerate() {
            *height = estimate(index, width);
        }
        self.sum();
        self.offset = self.tops[first] + within;
    }
}
