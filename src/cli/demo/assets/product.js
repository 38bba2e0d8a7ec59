// The buttons of a product's page that talk to /api.

async function post(path, value) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(value),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
}

function say(id, text) {
  document.getElementById(id).textContent = text;
}

document.querySelector('[data-add]').addEventListener('click', async (event) => {
  const product = Number(event.target.dataset.add);
  await post('/api/cart', { product }).then(
    () => say('added', 'It is in the cart.'),
    (error) => say('added', `That did not work: ${error.message}`),
  );
});

document.querySelector('[data-behind]').addEventListener('click', async (event) => {
  const input = document.getElementById('price');
  if (!input.reportValidity()) return;
  const price_cents = Math.round(input.valueAsNumber * 100);
  await post(`/api/products/${event.target.dataset.behind}`, { price_cents }).then(
    () => say('changed', 'Changed. Reload the page now and then to see when it notices.'),
    (error) => say('changed', `That did not work: ${error.message}`),
  );
});
