"use strict";
// One clip at a time: played once before it can be rated; the next one comes when the server has
// said that the rating is on its disk.
(() => {
  const study = document.getElementById("study");
  const clip = document.getElementById("clip");
  const message = document.getElementById("message");
  const progress = document.getElementById("progress");
  const replay = document.getElementById("replay");
  const buttons = [...document.querySelectorAll(".score")];
  const root = study.dataset.root;
  let presentation = study.dataset.presentation;
  let plays = 0;
  let sending = false;

  function say(text, isError = false) {
    message.textContent = text;
    message.classList.toggle("error", isError);
  }

  function allow(yes) {
    for (const button of buttons) button.disabled = !yes;
  }

  function play() {
    clip.currentTime = 0;
    clip.play().catch((error) => {
      // Some phones play nothing unasked.
      if (error.name === "NotAllowedError") say("Press Replay to watch the clip.");
    });
  }

  function show() {
    plays = 0;
    allow(false);
    for (const button of buttons) button.classList.remove("chosen");
    say("Watch the clip to its end.");
    clip.src = root + "/clips/" + encodeURIComponent(presentation);
    play();
  }

  async function rate(score) {
    if (sending || plays === 0) return;
    sending = true;
    allow(false);
    buttons[score - 1].classList.add("chosen");
    try {
      const answer = await fetch(root + "/ratings", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ presentation, score, plays }),
      });
      if (answer.status === 409) return location.reload(); // rated in another window
      const reply = await answer.json();
      if (!answer.ok) throw new Error(reply.error);
      if (reply.next === null) return location.assign(root + "/thanks");
      presentation = reply.next;
      progress.value = reply.rated;
      document.getElementById("number").textContent = reply.rated + 1;
      show();
    } catch (error) {
      // Sending it once more is safe: the server stores a rating once.
      buttons[score - 1].classList.remove("chosen");
      allow(true);
      const why = error instanceof TypeError ? "the study cannot be reached" : error.message;
      say(`Not stored: ${why}. Please try again.`, true);
    } finally {
      sending = false;
    }
  }

  clip.addEventListener("ended", () => {
    plays += 1;
    if (sending) return;
    allow(true);
    say("Now choose: a button, or a key.");
  });
  clip.addEventListener("error", () => {
    say("The clip cannot be shown. Press Replay, or reload the page.", true);
  });
  replay.addEventListener("click", () => {
    if (clip.error) clip.load();
    play();
  });
  for (const button of buttons) {
    button.addEventListener("click", () => rate(Number(button.dataset.score)));
  }
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key >= "1" && event.key <= String(buttons.length) && event.key.length === 1) {
      rate(Number(event.key));
    } else if (event.key.toLowerCase() === "r") {
      replay.click();
    }
  });
  show();
})();
