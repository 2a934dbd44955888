//! Keys and clicks: in the order they happened, and with exactly the modifiers that were held.
//!
//! egui hands a frame all events since the last frame, and each widget picks out its own. Two keys in one frame
//! therefore lose their order: the text of both goes to one entry before either Enter is seen. [`InputQueue`] gives a
//! frame less:
//!
//! ```text
//!  h e l l o Enter Ctrl-Tab h i Enter     one frame's worth, as the window system delivers it
//!  [-------] [---] [------] [-] [---]     five frames, as the window sees it
//! ```

use std::collections::VecDeque;

use eframe::egui::{Event, Key, Modifiers, Ui};

/// Events that wait for their frame.
#[derive(Default)]
pub struct InputQueue {
    waiting: VecDeque<Event>,
    /// Number of events handed out for a frame that has not been shown yet.
    handed_out: usize,
}

impl InputQueue {
    /// Replaces `events`, which just arrived, by what the next frame gets: everything before the next event that can
    /// move the focus, send a line or switch the conversation, or that event alone.
    pub fn next_frame(&mut self, events: &mut Vec<Event>) {
        // While the window is hidden no frame consumes the events. eframe keeps them and passes them in again, ahead
        // of the new ones; they precede everything that waits here.
        let new = events.split_off(self.handed_out.min(events.len()));
        for event in events.drain(..).rev() {
            self.waiting.push_front(event);
        }
        self.waiting.extend(new);
        let count = match self.waiting.iter().position(needs_own_frame) {
            Some(0) => 1,
            Some(before) => before,
            None => self.waiting.len(),
        };
        events.extend(self.waiting.drain(..count));
        self.handed_out = count;
    }

    /// Records that a frame was shown. Returns whether another frame is needed for the events that still wait.
    pub fn frame_shown(&mut self) -> bool {
        self.handed_out = 0;
        !self.waiting.is_empty()
    }
}

fn needs_own_frame(event: &Event) -> bool {
    match event {
        Event::PointerButton { .. } | Event::MiddleClickPaste { .. } | Event::AccessKitActionRequest(_) => {
            true
        }
        Event::Key { key, pressed: true, modifiers, .. } => match key {
            Key::Enter | Key::Tab | Key::Escape | Key::ArrowUp | Key::ArrowDown => true,
            Key::PageUp | Key::PageDown | Key::F2 => true,
            Key::W | Key::End => modifiers.ctrl || modifiers.command,
            _ => false,
        },
        _ => false,
    }
}

/// Takes a key press out of this frame's events. Returns whether there was one, with these modifiers and no others.
pub fn take_key(ui: &Ui, modifiers: Modifiers, key: Key) -> bool {
    ui.input_mut(|input| {
        let count = input.events.len();
        input.events.retain(|event| !is_press(event, modifiers, key));
        input.events.len() < count
    })
}

/// Whether a key was pressed in this frame, with these modifiers and no others.
pub fn has_key(ui: &Ui, modifiers: Modifiers, key: Key) -> bool {
    ui.input(|input| input.events.iter().any(|event| is_press(event, modifiers, key)))
}

fn is_press(event: &Event, wanted: Modifiers, wanted_key: Key) -> bool {
    matches!(event, Event::Key { key, pressed: true, modifiers, .. }
        if *key == wanted_key && modifiers.matches_exact(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: Key, modifiers: Modifiers) -> Event {
        Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }
    }

    fn text(text: &str) -> Event {
        Event::Text(text.into())
    }

    /// The events of each frame until nothing waits any more.
    fn frames(queue: &mut InputQueue, mut events: Vec<Event>) -> Vec<Vec<Event>> {
        let mut frames = Vec::new();
        loop {
            queue.next_frame(&mut events);
            frames.push(std::mem::take(&mut events));
            if !queue.frame_shown() {
                return frames;
            }
        }
    }

    #[test]
    fn input_is_divided_at_keys_that_change_where_text_goes() {
        let (enter, next) = (key(Key::Enter, Modifiers::NONE), key(Key::Tab, Modifiers::CTRL));
        let events =
            vec![text("a"), text("b"), enter.clone(), next.clone(), Event::Paste("c".into()), enter.clone()];
        let expected = vec![
            vec![text("a"), text("b")],
            vec![enter.clone()],
            vec![next],
            vec![Event::Paste("c".into())],
            vec![enter],
        ];
        assert_eq!(frames(&mut InputQueue::default(), events), expected);
    }

    #[test]
    fn input_that_arrives_while_some_waits_comes_after_it() {
        let mut queue = InputQueue::default();
        let enter = key(Key::Enter, Modifiers::NONE);
        let mut events = vec![text("a"), enter.clone()];
        queue.next_frame(&mut events);
        assert_eq!(events, [text("a")]);
        assert!(queue.frame_shown());
        assert_eq!(frames(&mut queue, vec![text("b")]), [vec![enter], vec![text("b")]]);
    }

    #[test]
    fn input_keeps_its_order_while_the_window_is_hidden() {
        let mut queue = InputQueue::default();
        let enter = key(Key::Enter, Modifiers::NONE);
        let mut events = vec![text("a"), enter.clone(), text("b")];
        for late in ["c", "d"] {
            queue.next_frame(&mut events);
            assert_eq!(events, [text("a")], "not shown: passed in again with what is new");
            events.push(text(late));
        }
        let expected = [vec![text("a")], vec![enter], vec![text("b"), text("c"), text("d")]];
        assert_eq!(frames(&mut queue, events), expected);
    }
}
