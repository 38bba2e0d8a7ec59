// A dynamic page: Next.js sends it chunked, with `private, no-cache, no-store, max-age=0,
// must-revalidate` and without an ETag.

import { render } from '../../render';

export const dynamic = 'force-dynamic';

export default async function Slow({ params }) {
  return render(`/slow/${(await params).id}`);
}
