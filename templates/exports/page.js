
(() => {
  "use strict";
  const MOST = 2000; // places that are marked: more nobody looks at, and a browser should not have to
  const input = document.getElementById("words");
  const told = document.getElementById("found");
  const articles = [...document.querySelectorAll("article")];
  const entries = new Map([...document.querySelectorAll(".list li")].map((entry) => [entry.querySelector("a").hash.slice(1), entry]));
  const searched = articles.length ? articles : [...entries.values()];
  let marks = [];
  let current = -1;
  let waiting = 0;

  const patterns = () => input.value.split(/\s+/u).filter(Boolean).map((word) => new RegExp(word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu"));

  // The texts of an element, each to be read on its own: a word does not go over from one to the next.
  const texts = function* (root) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) yield walker.currentNode;
  };

  const mark = (node, all) => {
    const places = [];
    for (const pattern of all) for (const place of node.data.matchAll(pattern)) places.push([place.index, place.index + place[0].length]);
    places.sort((one, other) => other[0] - one[0] || other[1] - one[1]);
    let before = Infinity;
    for (const [begin, end] of places) {
      if (end > before || marks.length >= MOST) continue;
      const found = document.createElement("mark");
      const rest = node.splitText(begin);
      rest.splitText(end - begin);
      rest.replaceWith(found);
      found.append(rest);
      marks.push(found);
      before = begin;
    }
  };

  const clear = () => {
    for (const found of marks) {
      const parent = found.parentNode;
      found.replaceWith(...found.childNodes);
      parent.normalize();
    }
    marks = [];
    current = -1;
  };

  const search = () => {
    clear();
    const all = patterns();
    let many = 0;
    for (const one of searched) {
      const fits = all.every((pattern) => one.textContent.search(pattern) >= 0);
      one.hidden = !fits;
      if (articles.length) entries.get(one.id)?.toggleAttribute("hidden", !fits);
      many += fits;
      if (fits && all.length && marks.length < MOST) for (const node of [...texts(one)]) mark(node, all);
    }
    // From the last place of a text to its first they were marked; they are gone through as they are read.
    marks.sort((one, other) => (one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
    told.textContent = all.length ? `${many} of ${searched.length} conversations, ${marks.length}${marks.length >= MOST ? " or more" : ""} places` : "";
  };

  const go = () => {
    if (!marks.length) return;
    marks[current]?.classList.remove("current");
    current = (current + 1) % marks.length;
    marks[current].classList.add("current");
    marks[current].scrollIntoView({ block: "center" });
  };

  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 150);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go();
  });
  document.getElementById("next").addEventListener("click", go);
  document.querySelector(".finder").hidden = false;
})();
