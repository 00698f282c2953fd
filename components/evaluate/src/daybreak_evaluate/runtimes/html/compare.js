// Returns the share of pixels of two PNG pictures (base64) that are equal up to a tolerance in each colour.
// Runs in a blank page of its own, where no document of a candidate has ever been.
async (one, other, tolerance) => {
  const pixels = async (data) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  };
  const [first, second] = [await pixels(one), await pixels(other)];
  if (first.length !== second.length) return 0;
  let equal = 0;
  for (let place = 0; place < first.length; place += 4) {
    const near = (colour) => Math.abs(first[place + colour] - second[place + colour]) <= tolerance;
    if (near(0) && near(1) && near(2)) equal += 1;
  }
  return (equal * 4) / first.length;
}
