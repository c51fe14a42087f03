// A page of whatever its data list; page.h describes them.
pages.sections = data => {
  if (data.summary) page.summary(data.summary);
  for (const {title, text, blocks = []} of data.sections) {
    const part = page.section(title, text);
    for (const block of blocks) page[block.type](part, block);
  }
};

