// The rater's page. The server knows where the rater is; this shows it and sends answers. An answer
// is sent until the server has it; the server stores it once however often it comes.
"use strict";

const words = document.body.dataset;
const base = `/r/${words.token}`;
const isPair = words.judging === "pairs";
const GRAY_MS = 250; // between pictures, so that they are judged by themselves
const TOO_EARLY_MS = 300; // a second click on the picture before
const AGAIN_MS = 1000; // until a picture that was not there is asked for again
const SECONDS_EACH = 5;
const LONGEST_S = 86400; // the server takes no longer time for an answer
const SEEN = 0.9; // of a picture's width and height before it can be judged
const SECTIONS = ["welcome", "screen", "back", "trained", "judging", "rest", "done", "closed"];
const KEYS = isPair
  ? { ArrowLeft: "left", ArrowDown: "same", ArrowRight: "right" }
  : { 1: "1", 2: "2", 3: "3", 4: "4", 5: "5" };

let state = null; // as the server gave it last
let examples = []; // of the training round, those that are left
let shown = null; // the task on the screen; null while there is none
let shownAt = 0;
let seen = []; // what has been in view of each picture that is shown, from 0 to 1 of its sides
let ratio = window.devicePixelRatio; // to which the rater has agreed at the screen check
const fetched = new Map(); // promises of images by picture id

const find = (id) => document.getElementById(id);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Fetch and read until the server answers; a lost connection, or a proxy that speaks in the server's
// place, is told and waited for. `value` is null where the server does not know what is asked for.
async function persist(path, read, options) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    try {
      const answer = await fetch(base + path, options);
      const { ok, status } = answer;
      if (ok || status === 404 || (options && (status === 409 || status === 422))) {
        const value = ok ? await read(answer) : null;
        find("offline").hidden = true;
        return { status, value };
      }
    } catch {
      // no connection, or it broke off, or this is not what the server sends
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
  const { status, value } = await persist(path, (answer) => answer.json(), options);
  if (status === 404) {
    location.reload(); // shows that the link is not known any more
    return new Promise(() => {});
  }
  return value || ask("/state"); // another tab went on, or the server does not take this
}

function image(id) {
  if (!fetched.has(id)) {
    const loading = load(id);
    loading.catch(() => fetched.delete(id)); // who wants it later asks again
    fetched.set(id, loading);
  }
  return fetched.get(id);
}

async function load(id) {
  const { value } = await persist(`/pictures/${id}`, drawn);
  if (!value) throw new Error(`there is no picture ${id}`);
  return value;
}

async function drawn(answer) {
  const made = new Image();
  made.src = URL.createObjectURL(await answer.blob());
  await made.decode();
  URL.revokeObjectURL(made.src);
  return made;
}

function turnTo(name) {
  for (const each of SECTIONS) find(each).hidden = each !== name;
  const head = find(name).querySelector("h1");
  head.focus();
  watch();
}

function notice(text) {
  find("said").textContent = text;
  fit(); // another line leaves less to the pictures
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
  const isCurrent = () => task === (examples[0] || state.task); // or the state has moved on
  let pictures = [];
  try {
    [pictures] = await Promise.all([Promise.all(task.pictures.map(image)), sleep(GRAY_MS)]);
  } catch {
    // Another tab has undone the task, or a proxy says that there is no such picture.
    find("offline").hidden = false;
    await sleep(AGAIN_MS);
    if (isCurrent()) follow(await ask("/state"));
    return;
  }
  if (!isCurrent()) return;
  stage.replaceChildren(...pictures);
  stage.scrollTo(0, 0);
  const names = isPair ? [words.pictureLeft, words.pictureRight] : [words.picture];
  pictures.forEach((each, index) => (each.alt = names[index]));
  seen = pictures.map(() => null);
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
  notice(lesson(task));
}

// The right answer to an example; nothing else has one.
function lesson({ expected }) {
  if (!expected) return "";
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
    each.style.left = each.style.top = "0";
  }
  find("small").hidden = true; // its line would make the stage smaller
  const isLarge = isScrolled();
  find("small").hidden = !isLarge;
  for (const each of stage.children) snap(each);
  // Keys scroll it where it has to be scrolled.
  stage.tabIndex = isLarge ? 0 : -1;
  const isUpright = window.innerHeight > window.innerWidth;
  cover("turn", isTouch() && isUpright && isLarge);
  look();
}

function isScrolled() {
  const stage = find("stage");
  return stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight;
}

// Note what is in view of each picture. Scrolling leaves nothing out between two places.
function look() {
  if (!shown || isCovered()) return;
  const view = find("stage").getBoundingClientRect();
  [...find("stage").children].forEach((each, index) => {
    const box = each.getBoundingClientRect();
    const part = {
      left: Math.max(view.left - box.left, 0) / box.width,
      right: Math.min(view.right - box.left, box.width) / box.width,
      top: Math.max(view.top - box.top, 0) / box.height,
      bottom: Math.min(view.bottom - box.top, box.height) / box.height,
    };
    if (part.left >= part.right || part.top >= part.bottom) return;
    const { left, right, top, bottom } = seen[index] || part;
    seen[index] = {
      left: Math.min(left, part.left),
      right: Math.max(right, part.right),
      top: Math.min(top, part.top),
      bottom: Math.max(bottom, part.bottom),
    };
  });
}

const isSeen = (part) => part && part.right - part.left >= SEEN && part.bottom - part.top >= SEEN;

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
  const isUnzoomed = isTouch() || Math.abs(windowZoom - 1) < 0.1;
  for (const each of document.querySelectorAll(".zoomed")) each.hidden = isUnzoomed;
  if (!find("screen").hidden) draw();
}

function cover(name, isWanted) {
  const section = find(name);
  if (section.hidden === !isWanted) return;
  section.hidden = !isWanted;
  find("judging").inert = isCovered();
  if (isWanted) section.querySelector("h1").focus();
  else {
    find("question").focus();
    if (shown) shownAt = performance.now();
  }
}

const isCovered = () => !find("zoom").hidden || !find("turn").hidden;

async function answer(given) {
  const task = shown;
  if (!task || isCovered() || performance.now() - shownAt < TOO_EARLY_MS) return;
  if (!seen.every(isSeen)) {
    notice(`${lesson(task)} ${words.unseen}`);
    return;
  }
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
    seconds: Math.min((performance.now() - shownAt) / 1000, LONGEST_S),
    pixel_ratio: window.devicePixelRatio,
  });
  if (next.rest) {
    state = next;
    turnTo("rest");
  } else follow(next);
}

async function undo() {
  const isReady = shown || !find("done").hidden;
  if (!isReady || examples.length || !state.undo || isCovered()) return;
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
for (const name of ["undo", "undo-last"]) find(name).addEventListener("click", undo);
find("stage").addEventListener("scroll", look);
find("moved").addEventListener("click", () => {
  ratio = window.devicePixelRatio;
  watch();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const judges = !find("judging").hidden;
  if (judges && event.key in KEYS) {
    const scrolls = document.activeElement === find("stage") && isScrolled();
    if (scrolls && event.key.startsWith("Arrow")) return;
    event.preventDefault(); // arrows scroll
    answer(KEYS[event.key]);
  } else if (event.key === "Backspace" && (judges || !find("done").hidden)) {
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
