// A static page with links: in a browser each link is prefetched and followed as an RSC request.

import Link from 'next/link';

export default function Home() {
  return (
    <main>
      <h1>Home</h1>
      <ul>
        <li><Link href="/slow/1">A page that takes half a second</Link></li>
        <li><Link href="/about">A page rendered at build time</Link></li>
      </ul>
    </main>
  );
}
