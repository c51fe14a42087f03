pages.runs = () => {};
