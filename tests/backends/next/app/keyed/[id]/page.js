// The same page again, for a route that keys on the fields of RSC requests.

import { render } from '../../render';

export const dynamic = 'force-dynamic';

export default async function Keyed({ params }) {
  return render(`/keyed/${(await params).id}`);
}
