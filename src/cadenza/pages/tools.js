"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

function add(parent, tag, text, attributes = {}) {
  const element = parent.appendChild(document.createElement(tag));
  if (text) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// What to draw on, as sharp as the screen is.
function surface(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return { pen, width, height };
}
