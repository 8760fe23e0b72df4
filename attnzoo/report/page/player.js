"use strict";
// Videos: all that are shown follow the first one's clock and are put right when they leave it.
(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const { clips, variants, presets, sources } = JSON.parse(document.getElementById("videos-data").textContent);
  const at = (id) => document.getElementById(id);
  const [grid, scrub, playButton, edge, wipe] = ["grid", "scrub", "play", "edge", "wipe"].map(at);
  const MOST = 32; // Browsers decode only so many videos at a time.
  const LATE = 0.6; // of a frame: then a video is put in its place.
  const DRIFT = 0.15; // of a frame: then it runs a little faster or slower.

  const state = { clip: 0, shown: [], playing: false, rate: 1, frame: 0, videos: [] };
  const urls = new Map();

  const address = (variant) => {
    const key = `${state.clip}/${variant}`;
    if (!sources[key]) return null;
    if (!urls.has(key)) {
      const [type, base64] = sources[key];
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      urls.set(key, URL.createObjectURL(new Blob([bytes], { type })));
    }
    return urls.get(key);
  };

  const clip = () => clips[state.clip];
  const step = () => 1 / clip().fps;
  const timeOf = (frame) => (frame + 0.5) * step();
  const frameOf = (time) => Math.min(clip().frames - 1, Math.max(0, Math.floor(time * clip().fps + 1e-3)));

  // What stands for a variant: its video, its picture, or why there is none.
  const medium = (variant) => {
    const url = address(variant);
    const { label, missing } = variants[variant];
    const said = `${label}, ${clip().scenario}`;
    if (!url) {
      const absent = document.createElement("div");
      absent.className = "absent";
      absent.textContent = missing[state.clip] || "no video";
      return absent;
    }
    if (variants[variant].still) {
      const picture = document.createElement("img");
      picture.src = url;
      picture.alt = said;
      return picture;
    }
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.preload = "auto";
    video.disablePictureInPicture = true;
    video.setAttribute("aria-label", said);
    video.src = url;
    video.addEventListener("loadeddata", () => {
      if (!state.playing) video.currentTime = timeOf(state.frame);
    }, { once: true });
    return video;
  };

  const say = () => {
    scrub.value = state.frame;
    const text = `${state.frame + 1} / ${clip().frames}`;
    at("frame").textContent = text;
    scrub.setAttribute("aria-valuetext", `frame ${state.frame + 1} of ${clip().frames}`);
    magnify();
  };

  const place = (frame) => {
    state.frame = frame;
    for (const video of state.videos) video.currentTime = timeOf(frame);
    say();
  };

  const pause = () => {
    state.playing = false;
    for (const video of state.videos) video.pause();
    playButton.textContent = "Play";
    playButton.setAttribute("aria-pressed", "false");
    place(state.frame);
  };

  const start = () => {
    for (const video of state.videos) {
      video.playbackRate = state.rate;
      video.play().catch(() => {});
    }
  };

  const play = () => {
    if (!state.videos.length) return;
    state.playing = true;
    playButton.textContent = "Pause";
    playButton.setAttribute("aria-pressed", "true");
    if (state.frame >= clip().frames - 1) place(0);
    start();
    requestAnimationFrame(tick);
  };

  const tick = () => {
    if (!state.playing) return;
    const clock = state.videos[0];
    if (clock.ended || clock.currentTime >= clip().frames * step() - 0.02) {
      for (const video of state.videos) video.currentTime = 0;
      start();
    } else if (!clock.seeking) {
      const now = clock.currentTime;
      for (const video of state.videos.slice(1)) {
        if (video.seeking || video.readyState < 2) continue;
        const ahead = (video.currentTime - now) / step();
        if (Math.abs(ahead) > LATE) video.currentTime = now;
        const change = Math.abs(ahead) > DRIFT ? 1 - 0.1 * Math.sign(ahead) : 1;
        if (video.playbackRate !== state.rate * change) video.playbackRate = state.rate * change;
        if (video.paused && !video.ended) video.play().catch(() => {});
      }
    }
    state.frame = frameOf(clock.currentTime);
    say();
    requestAnimationFrame(tick);
  };

  const figure = (variant) => {
    const shown = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = variants[variant].label;
    shown.append(medium(variant), caption);
    return shown;
  };

  const collect = () => {
    state.videos = [...player.querySelectorAll("video")];
    scrub.max = clip().frames - 1;
    state.frame = Math.min(state.frame, clip().frames - 1);
    if (state.playing) {
      if (!state.videos.length) pause();
      else start();
    }
    say();
  };

  const fillGrid = () => {
    grid.replaceChildren(...state.shown.map(figure));
    collect();
  };

  const fillWipe = () => {
    for (const side of ["left", "right"]) at(`pane-${side}`).replaceChildren(medium(Number(at(side).value)));
    collect();
  };

  const magnify = () => {
    const box = at("magnify").value && clip().boxes && clip().boxes.slice(0, state.frame + 1).filter(Boolean).pop();
    for (const pane of wipe.querySelectorAll(".pane > *")) {
      if (box) {
        const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2].map((v) => v / clip().size);
        pane.style.transform = `scale(3) translate(${(0.5 - x) * 100}%, ${(0.5 - y) * 100}%)`;
      } else pane.style.transform = "";
    }
  };

  const choose = (shown) => {
    state.shown = shown.slice(0, MOST);
    at("capped").textContent = shown.length > MOST ? `the first ${MOST} of ${shown.length}` : "";
    for (const box of boxes) box.checked = state.shown.includes(Number(box.value));
    fillGrid();
  };

  // Controls.
  const boxes = variants.map(({ label }, i) => {
    const holder = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = i;
    holder.className = "check";
    holder.append(box, document.createTextNode(label));
    at("variants").append(holder);
    box.addEventListener("change", () => {
      const wanted = boxes.filter((other) => other.checked).map((other) => Number(other.value));
      at("preset").value = "own";
      choose(wanted);
    });
    return box;
  });
  for (const side of ["left", "right"]) {
    variants.forEach(({ label, still }, i) => {
      if (!still) at(side).append(new Option(label, i));
    });
    at(side).addEventListener("change", fillWipe);
  }
  const moving = presets[0].variants.filter((i) => !variants[i].still);
  at("left").value = variants.findIndex(({ id }) => id === "real");
  at("right").value = moving[moving.length - 1];

  at("clip").addEventListener("change", (event) => {
    state.clip = Number(event.target.value);
    fillGrid();
    fillWipe();
  });
  at("preset").addEventListener("change", (event) => {
    if (event.target.value !== "own") choose(presets[Number(event.target.value)].variants);
  });
  at("speed").addEventListener("change", (event) => {
    state.rate = Number(event.target.value);
    for (const video of state.videos) video.playbackRate = state.rate;
  });
  at("magnify").addEventListener("change", magnify);

  const toggle = () => (state.playing ? pause() : play());
  const go = (by) => {
    if (state.playing) pause();
    place((state.frame + by + clip().frames) % clip().frames);
  };
  playButton.addEventListener("click", toggle);
  at("back").addEventListener("click", () => go(-1));
  at("forth").addEventListener("click", () => go(1));
  scrub.addEventListener("input", () => {
    const frame = Number(scrub.value);
    if (state.playing) pause();
    place(frame);
  });
  player.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(SELECT|BUTTON|SUMMARY)$/.test(event.target.tagName) || event.target.type === "checkbox";
    if (event.key === " " && !typing) toggle();
    else if (event.key === ",") go(-1);
    else if (event.key === ".") go(1);
    else return;
    event.preventDefault();
  });

  const wipeTo = (percent) => {
    edge.value = percent;
    wipe.style.setProperty("--edge", `${edge.value}%`);
  };
  edge.addEventListener("input", () => wipeTo(edge.value));
  const drag = (event) => {
    const { left, width } = wipe.getBoundingClientRect();
    wipeTo(Math.min(100, Math.max(0, Math.round((100 * (event.clientX - left)) / width))));
  };
  wipe.addEventListener("pointerdown", (event) => {
    wipe.setPointerCapture(event.pointerId);
    drag(event);
  });
  wipe.addEventListener("pointermove", (event) => {
    if (wipe.hasPointerCapture(event.pointerId)) drag(event);
  });

  wipeTo(50);
  choose(presets[0].variants);
  fillWipe();
})();
