"use strict";
// Each viewer: two layers of the same crop, the left one cut off at the bar.
for (const viewer of document.querySelectorAll(".viewer")) {
  const frames = [...viewer.querySelectorAll(".frames img")];
  const focus = { x: Number(viewer.dataset.x), y: Number(viewer.dataset.y) };
  const state = { split: 0.5, zoom: 1, x: 0, y: 0 };
  const make = (parent, tag, className, text) => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text || "";
    parent.append(element);
    return element;
  };
  const stage = make(viewer, "div", "stage");
  const controls = make(viewer, "div", "controls");
  viewer.querySelector(".frames").hidden = true;
  viewer.querySelector(".frames").style.display = "none";

  const sides = ["right", "left"].map((name) => {
    const layer = make(stage, "div", "layer");
    return { name, layer, image: make(layer, "img", "") };
  });
  const bar = make(stage, "div", "bar");
  for (const side of sides) side.caption = make(stage, "span", "side " + side.name);
  for (const side of [...sides].reverse()) {
    const label = make(controls, "label", "", side.name === "left" ? "Left" : "Right");
    side.select = make(label, "select", "");
    for (const frame of frames) {
      const option = make(side.select, "option", "", frame.dataset.title);
      option.value = frame.dataset.method;
    }
    side.select.addEventListener("change", draw);
  }
  const slider = make(controls, "input", "");
  Object.assign(slider, { type: "range", min: 0, max: 1000, value: 500 });
  slider.setAttribute("aria-label", "Where the left picture ends");
  slider.addEventListener("input", () => { state.split = slider.value / 1000; draw(); });
  const zooms = make(controls, "span", "zooms");
  for (const zoom of [1, 2, 4, 8]) {
    const button = make(zooms, "button", "", zoom + "×");
    button.type = "button";
    button.dataset.zoom = zoom;
    button.addEventListener("click", () => { zoomTo(zoom); draw(); });
  }

  const methods = frames.map((frame) => frame.dataset.method);
  sides[1].select.value = methods.includes("champion") ? "champion" : "bicubic";
  sides[0].select.value = "model";

  function zoomTo(zoom) {
    // The middle of what is shown stays; from the whole picture it goes to the focus.
    const middle = state.zoom === 1 ? focus
      : { x: state.x + 0.5 / state.zoom, y: state.y + 0.5 / state.zoom };
    state.zoom = zoom;
    moveTo(middle.x - 0.5 / zoom, middle.y - 0.5 / zoom);
  }

  function moveTo(x, y) {
    const most = 1 - 1 / state.zoom;
    state.x = Math.min(most, Math.max(0, x));
    state.y = Math.min(most, Math.max(0, y));
  }

  function draw() {
    const percent = 100 * state.split;
    for (const side of sides) {
      const frame = frames[methods.indexOf(side.select.value)];
      if (side.image.src !== frame.src) side.image.src = frame.src;
      side.image.alt = side.caption.textContent = frame.dataset.title;
      side.image.style.transform =
        `scale(${state.zoom}) translate(${-100 * state.x}%, ${-100 * state.y}%)`;
    }
    sides[1].layer.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    bar.style.left = percent + "%";
    slider.value = Math.round(1000 * state.split);
    stage.classList.toggle("zoomed", state.zoom > 1);
    for (const button of zooms.children) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.zoom) === state.zoom));
    }
  }

  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    drag = { slide: event.target === bar || state.zoom === 1, x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
    move(event);
  });
  stage.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, () => { drag = null; });
  }

  function move(event) {
    if (!drag) return;
    const box = stage.getBoundingClientRect();
    if (drag.slide) {
      state.split = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    } else {
      const reach = state.zoom * box.width;
      moveTo(state.x - (event.clientX - drag.x) / reach, state.y - (event.clientY - drag.y) / reach);
      drag.x = event.clientX;
      drag.y = event.clientY;
    }
    draw();
  }

  draw();
}
