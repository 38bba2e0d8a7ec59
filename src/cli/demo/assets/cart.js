// Fills the cart, an empty shell that is the same for everybody, with what this visitor put in it.

const state = document.getElementById('cart-state');
const items = document.getElementById('cart-items');
const empty = document.getElementById('cart-empty');

const euros = (cents) => `€${(cents / 100).toFixed(2)}`;

function line({ id, name, quantity, price_cents }) {
  const row = document.createElement('li');
  const link = document.createElement('a');
  link.href = `/products/${id}`;
  link.textContent = `${quantity} × ${name}`;
  const price = document.createElement('span');
  price.className = 'price';
  price.textContent = euros(quantity * price_cents);
  row.append(link, price);
  return row;
}

async function show(method) {
  const response = await fetch('/api/cart', { method });
  const cart = await response.json();
  items.replaceChildren(...cart.items.map(line));
  state.textContent = cart.items.length ? `Together ${euros(cart.total_cents)}` : 'There is nothing in it yet.';
  empty.hidden = cart.items.length === 0;
}

const failed = () => { state.textContent = 'The cart could not be fetched.'; };

empty.addEventListener('click', () => show('DELETE').catch(failed));
show('GET').catch(failed);
