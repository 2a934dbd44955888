//! Absentees: sessions of an account that nobody else uses, whose peers fall silent or are lost while messages are on
//! their way to them. So nothing else covers what they were sent: a later login must show it again.

use std::net::{IpAddr, SocketAddr};

use super::model::asked::Asked;
use super::workload::Stage;

/// The account.
const NAME: &str = "gus";
/// Their addresses, all of which nobody else uses.
const FIRST_ADDRESS: u32 = 0x40_0000;
/// Of so many steps, one goes on with a scene; in the others people talk.
const PAUSE: u64 = 8;

/// What happens next in a scene. A session is called by its place among those of the scene.
#[derive(Clone, Copy)]
enum Act {
    Come,
    /// As many as an account may have.
    CrowdComes,
    Speak(usize),
    /// Its peer is lost, and the server learns of it.
    Break(usize),
    Quit(usize),
    ChangePassword(usize),
    /// So much time goes by that a session is silent.
    Wait,
    /// All leave, in order.
    Leave,
}

use Act::{Break, ChangePassword, Come, CrowdComes, Leave, Quit, Speak, Wait};

const SCENES: [&[Act]; 6] = [
    // The second session begins after messages that only the first one was sent, and in vain.
    &[Come, Come, Break(0), Speak(1), Quit(1), Come, Leave],
    // They were not sent in vain.
    &[Come, Come, Speak(0), Break(0), Speak(1), Quit(1), Come, Leave],
    // The server ends the first one, which may have been lost before.
    &[Come, Come, Wait, ChangePassword(1), Quit(1), Come, Leave],
    &[Come, Come, Speak(0), Wait, ChangePassword(1), Come, Break(1), Quit(2), Come, Leave],
    // One of many yields its place.
    &[CrowdComes, Wait, Come, Leave],
    &[Come, Wait, Come, Break(0), Break(1), Come, Leave],
];
/// Sessions of an account.
const CROWD: usize = 16;

#[derive(Default)]
pub struct Absentees {
    /// Of the scene, by their peers and what the model calls them.
    sessions: Vec<(usize, usize)>,
    /// What is left of the scene.
    scene: &'static [Act],
    /// So that no two addresses and no two passwords are the same.
    fresh: u32,
}

impl Absentees {
    /// Goes on with a scene, perhaps. Whether time is to go by for it.
    pub fn act(&mut self, stage: &mut Stage<'_>) -> bool {
        let is_waiting = self.sessions.iter().any(|&(peer, id)| {
            !stage.model.is_over(id) && stage.net.peer(peer).is_open() && stage.model.is_waiting(id)
        });
        if is_waiting || stage.random.below(PAUSE) > 0 {
            return false;
        }
        let Some((&act, rest)) = self.scene.split_first() else {
            self.leave_all(stage);
            self.scene = stage.random.one_of(&SCENES);
            return false;
        };
        self.scene = rest;
        match act {
            Come => self.come(stage),
            CrowdComes => (0..CROWD).for_each(|_| self.come(stage)),
            Speak(number) => self.send(number, "/help", Asked::Help, stage),
            Quit(number) => self.send(number, "/quit", Asked::Quit, stage),
            ChangePassword(number) => self.change_password(number, stage),
            Break(number) => {
                if let Some(&(peer, id)) = self.sessions.get(number) {
                    stage.net.peer(peer).reset();
                    stage.model.gone(id);
                }
            }
            Wait => {
                stage.tally.count("absentees in silence");
                return true;
            }
            Leave => (0..self.sessions.len()).for_each(|it| self.send(it, "/quit", Asked::Quit, stage)),
        }
        false
    }

    /// Takes what came.
    pub fn read(&mut self, stage: &mut Stage<'_>) {
        for &(peer, id) in &self.sessions {
            if !stage.net.peer(peer).take(usize::MAX).is_empty() {
                stage.model.took(id);
            }
        }
    }

    pub fn leave_all(&mut self, stage: &mut Stage<'_>) {
        for (peer, id) in self.sessions.drain(..) {
            stage.net.peer(peer).close();
            stage.model.gone(id);
        }
        self.scene = &[];
    }

    /// The server is gone.
    pub fn are_cut_off(&mut self) {
        self.sessions.clear();
        self.scene = &[];
    }

    fn come(&mut self, stage: &mut Stage<'_>) {
        self.fresh += 1;
        let address = FIRST_ADDRESS + self.fresh;
        let ip = IpAddr::from((0x0a00_0000 + address).to_be_bytes());
        let peer = stage.net.connect(SocketAddr::new(ip, 40_000));
        let id = stage.model.connected(peer, address);
        self.sessions.push((peer, id));
        let number = self.sessions.len() - 1;
        match stage.model.passwords_of(NAME).pop() {
            Some(password) => {
                let line = format!("/login {NAME} {password}");
                self.send(number, &line, Asked::Login { name: NAME.into(), password }, stage);
            }
            None => {
                let password = self.fresh_password();
                let line = format!("/register {NAME} {password}");
                self.send(number, &line, Asked::Register { name: NAME.into(), password }, stage);
            }
        }
    }

    fn change_password(&mut self, number: usize, stage: &mut Stage<'_>) {
        if stage.model.is_settled(NAME) {
            let old = stage.model.passwords_of(NAME).remove(0);
            let new = self.fresh_password();
            self.send(number, &format!("/passwd {old} {new}"), Asked::Passwd { new, is_right: true }, stage);
        }
    }

    fn fresh_password(&mut self) -> String {
        self.fresh += 1;
        format!("absent-{}", self.fresh)
    }

    /// Sends a line, if that session is still there.
    fn send(&mut self, number: usize, line: &str, asked: Asked, stage: &mut Stage<'_>) {
        let Some(&(peer, id)) = self.sessions.get(number) else { return };
        let is_in = stage.model.account_of(id).is_some() || !matches!(asked, Asked::Passwd { .. });
        if is_in && !stage.model.is_over(id) && stage.net.peer(peer).is_open() {
            stage.net.peer(peer).send(format!("{line}\n").as_bytes());
            stage.model.sent(id, asked);
        }
    }
}
