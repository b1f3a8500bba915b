// The rater's page. The server knows where the rater is; this shows it and sends answers. An answer
// is sent until the server has it; the server stores it once however often it comes.
"use strict";

const words = document.body.dataset;
const base = `/r/${words.token}`;
const isPair = words.judging === "pairs";
const GRAY_MS = 250; // between pictures, so that they are judged by themselves
const TOO_EARLY_MS = 300; // a second click on the picture before
const SECONDS_EACH = 5;
const SECTIONS = ["welcome", "screen", "back", "trained", "judging", "rest", "done", "closed"];
const KEYS = isPair
  ? { ArrowLeft: "left", ArrowDown: "same", ArrowRight: "right" }
  : { 1: "1", 2: "2", 3: "3", 4: "4", 5: "5" };

let state = null; // as the server gave it last
let examples = []; // of the training round, those that are left
let shown = null; // the task on the screen; null while there is none
let shownAt = 0;
let ratio = window.devicePixelRatio; // to which the rater has agreed at the screen check
const fetched = new Map(); // promises of images by picture id

const find = (id) => document.getElementById(id);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Fetch until there is an answer; a lost connection is told and waited for.
async function persist(path, options) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    let answer = null;
    try {
      answer = await fetch(base + path, options);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch's own kind for no connection
    }
    if (answer && answer.status !== 429 && answer.status < 500) {
      find("offline").hidden = true;
      return answer;
    }
    find("offline").hidden = false;
    await sleep(wait);
  }
}

async function ask(path, sent) {
  const options = sent && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(sent),
  };
  const answer = await persist(path, options);
  if (answer.status === 409) return ask("/state"); // another tab went on
  if (answer.status === 404) {
    location.reload(); // shows that the link is not known any more
    return new Promise(() => {});
  }
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function image(id) {
  if (!fetched.has(id)) fetched.set(id, load(id));
  return fetched.get(id);
}

async function load(id) {
  const answer = await persist(`/pictures/${id}`);
  const made = new Image();
  if (answer.ok) {
    made.src = URL.createObjectURL(await answer.blob());
    await made.decode();
    URL.revokeObjectURL(made.src);
  }
  return made;
}

function turnTo(name) {
  for (const each of SECTIONS) find(each).hidden = each !== name;
  const head = find(name).querySelector("h1");
  head.focus();
  watch();
}

function notice(text) {
  find("notice").textContent = text;
}

// Show what the server says, with the pages between: welcome back, end of training, break.
function follow(next) {
  state = next;
  if (state.step === "training") {
    examples = [...state.examples];
    turnTo("judging");
    present(examples[0]);
  } else if (state.step === "judging") {
    if (find("judging").hidden) turnTo("judging");
    present(state.task);
  } else {
    shown = null;
    if (state.step === "welcome") {
      const minutes = Math.max(1, Math.round((state.total * SECONDS_EACH) / 60));
      find("length").textContent = filled(words.length, { total: state.total, minutes });
    }
    turnTo(state.step);
  }
}

async function present(task) {
  shown = null;
  const stage = find("stage");
  stage.classList.add("still");
  const pictures = await Promise.all([Promise.all(task.pictures.map(image)), sleep(GRAY_MS)]);
  if (task !== (examples[0] || state.task)) return; // the state has moved on meanwhile
  stage.replaceChildren(...pictures[0]);
  const names = isPair ? [words.pictureLeft, words.pictureRight] : [words.picture];
  pictures[0].forEach((each, index) => (each.alt = names[index]));
  mark(null);
  tell(task);
  shown = task;
  fit();
  stage.classList.remove("still");
  shownAt = performance.now();
  for (const id of fetched.keys()) if (!task.pictures.includes(id)) fetched.delete(id);
  if (!examples.length && state.next) state.next.pictures.forEach(image);
}

function tell(task) {
  const { done, total, undo } = state;
  const isTraining = examples.length > 0;
  find("undo").hidden = isTraining || !undo;
  find("bar").max = isTraining ? state.examples.length : total;
  find("bar").value = isTraining ? state.examples.length - examples.length : done;
  if (!isTraining) {
    find("status").textContent = filled(words.progress, { done, total });
  } else {
    const left = state.examples.length - examples.length + 1;
    find("status").textContent = filled(words.progress, {
      done: left,
      total: state.examples.length,
    });
  }
  notice(isTraining ? lesson(task.expected) : "");
}

function lesson(expected) {
  if (expected === "left") return words.trainingLeft;
  if (expected === "right") return words.trainingRight;
  const label = document.querySelector(`[data-answer="${expected}"] span`).textContent;
  return filled(words.trainingRating, { label, answer: expected });
}

// One pixel of a picture is one pixel of the screen, at a whole place.
function fit() {
  if (!shown) return;
  const device = window.devicePixelRatio;
  const stage = find("stage");
  for (const each of stage.children) {
    each.style.width = `${shown.width / device}px`;
    each.style.height = `${shown.height / device}px`;
  }
  for (const each of stage.children) snap(each);
  // Keys scroll it where it has to be scrolled.
  const isLarge = stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight;
  stage.tabIndex = isLarge ? 0 : -1;
  if (isLarge) notice(words.small);
  else if (find("notice").textContent === words.small) notice("");
  const isUpright = window.innerHeight > window.innerWidth;
  cover("turn", isTouch() && isUpright && isLarge);
}

function snap(element) {
  const device = window.devicePixelRatio;
  element.style.left = element.style.top = "0";
  const { left, top } = element.getBoundingClientRect();
  element.style.left = `${(Math.round(left * device) - left * device) / device}px`;
  element.style.top = `${(Math.round(top * device) - top * device) / device}px`;
}

const isTouch = () => window.matchMedia("(pointer: coarse)").matches;
const pinch = () => (window.visualViewport ? window.visualViewport.scale : 1);

// A zoom, or another screen: pictures are hidden until it is undone or confirmed.
function watch() {
  const judges = !find("judging").hidden;
  const isZoomed = Math.abs(window.devicePixelRatio - ratio) > 0.01 || Math.abs(pinch() - 1) > 0.02;
  cover("zoom", judges && isZoomed);
  find("moved").hidden = Math.abs(pinch() - 1) > 0.02;
  if (judges) fit();
  else cover("turn", false);
  const windowZoom = window.outerWidth / window.innerWidth;
  find("zoomed").hidden = isTouch() || Math.abs(windowZoom - 1) < 0.1;
  if (!find("screen").hidden) draw();
}

function cover(name, isWanted) {
  const section = find(name);
  if (section.hidden === !isWanted) return;
  section.hidden = !isWanted;
  if (isWanted) section.querySelector("h1").focus();
  else if (shown) shownAt = performance.now();
}

const isCovered = () => !find("zoom").hidden || !find("turn").hidden;

async function answer(given) {
  const task = shown;
  if (!task || isCovered() || performance.now() - shownAt < TOO_EARLY_MS) return;
  if (examples.length) {
    if (given !== task.expected) return;
    mark(given);
    examples.shift();
    if (examples.length) present(examples[0]);
    else {
      shown = null;
      state = await ask("/trained", {});
      turnTo("trained");
    }
    return;
  }
  shown = null; // a second press comes too late
  mark(given);
  const next = await ask("/judge", {
    task: task.id,
    answer: given,
    seconds: (performance.now() - shownAt) / 1000,
    pixel_ratio: window.devicePixelRatio,
  });
  if (next.rest) {
    state = next;
    turnTo("rest");
  } else follow(next);
}

async function undo() {
  if (!shown || examples.length || !state.undo || isCovered()) return;
  shown = null;
  const next = await ask("/undo", { task: state.undo });
  follow(next);
  await sleep(2 * GRAY_MS);
  notice(words.undone);
}

function mark(given) {
  for (const each of document.querySelectorAll("[data-answer]")) {
    each.classList.toggle("chosen", each.dataset.answer === given);
  }
}

// The screen check, in device pixels.
function draw() {
  const device = window.devicePixelRatio;
  const side = Math.round(40 * device);
  for (const [id, back, levels] of [
    ["dark", 0, [4, 8, 14, 22]],
    ["bright", 255, [251, 247, 241, 233]],
  ]) {
    const pen = sized(id, side * 9, side * 2);
    fill(pen, back, 0, 0, side * 9, side * 2);
    levels.forEach((level, index) => {
      fill(pen, level, side * (1 + 2 * index), Math.round(side / 2), side, side);
    });
  }
  const box = Math.round(120 * device);
  const pen = sized("lines", box * 2 + side, box);
  for (let at = 0; at < box; at += 2) {
    fill(pen, 0, at, 0, 1, box);
    fill(pen, 255, at + 1, 0, 1, box);
    fill(pen, 0, box + side, at, box, 1);
    fill(pen, 255, box + side, at + 1, box, 1);
  }
  snap(find("lines"));
}

function sized(id, width, height) {
  const canvas = find(id);
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${width / window.devicePixelRatio}px`;
  canvas.style.height = `${height / window.devicePixelRatio}px`;
  return canvas.getContext("2d");
}

function fill(pen, level, ...place) {
  pen.fillStyle = `rgb(${level}, ${level}, ${level})`;
  pen.fillRect(...place);
}

find("agreement").addEventListener("submit", (event) => {
  event.preventDefault();
  turnTo("screen");
});

find("check").addEventListener("submit", async (event) => {
  event.preventDefault();
  ratio = window.devicePixelRatio;
  const screen = {
    width: Math.round(window.innerWidth * ratio),
    height: Math.round(window.innerHeight * ratio),
    pixel_ratio: ratio,
    touch: isTouch(),
    dark_steps: Number(find("dark-steps").value),
    bright_steps: Number(find("bright-steps").value),
    sharp: find("sharp").value === "yes",
  };
  const language = document.documentElement.lang;
  follow(await ask("/begin", { agreed: true, language, screen }));
});

for (const each of document.querySelectorAll("[data-answer]")) {
  each.addEventListener("click", () => answer(each.dataset.answer));
}
for (const each of document.querySelectorAll(".go-on")) {
  each.addEventListener("click", () => {
    if (!find("back").hidden) ratio = window.devicePixelRatio;
    follow(state);
  });
}
find("undo").addEventListener("click", undo);
find("moved").addEventListener("click", () => {
  ratio = window.devicePixelRatio;
  watch();
});

document.addEventListener("keydown", (event) => {
  const isOurs = !find("judging").hidden && !event.ctrlKey && !event.altKey && !event.metaKey;
  if (!isOurs || event.repeat) return;
  if (event.key in KEYS) {
    event.preventDefault(); // arrows scroll
    answer(KEYS[event.key]);
  } else if (event.key === "Backspace") {
    event.preventDefault();
    undo();
  }
});

window.addEventListener("resize", watch);
if (window.visualViewport) window.visualViewport.addEventListener("resize", watch);

(async () => {
  const first = await ask("/state");
  if (first.step === "training" || first.step === "judging") {
    state = first;
    find("back-text").textContent = filled(words.back, first);
    turnTo("back");
  } else follow(first);
})();
