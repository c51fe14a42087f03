(() => {
  const data = document.getElementById("data");
  pages[data.dataset.kind](JSON.parse(data.textContent));
  // Where three columns would leave one block alone in the last row, there are two.
  for (const blocks of document.querySelectorAll(".blocks")) {
    const cells = [...blocks.children].filter(block => !block.hidden && !block.classList.contains("all"))
                                      .reduce((sum, block) => sum + (block.classList.contains("wide") ? 2 : 1), 0);
    blocks.classList.toggle("pairs", cells > 1 && cells % 3 === 1);
  }
})();
