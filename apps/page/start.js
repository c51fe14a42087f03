(() => {
  const data = document.getElementById("data");
  pages[data.dataset.kind](JSON.parse(data.textContent));
})();
