// Rendered once, by `next build`: `next start` answers with `s-maxage=31536000`.

import Link from 'next/link';

export default function About() {
  return (
    <main>
      <h1>About</h1>
      <p><Link href="/slow/1">A page that takes half a second</Link></p>
    </main>
  );
}
